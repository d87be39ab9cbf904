// Draws the curves of a page again, so that they can be hovered over, zoomed and switched off; shows what a mark says
// where it is touched; sorts and filters tables. Without it a page shows all of the same, at rest.
(() => {
  "use strict";
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const paint = (value) => () => (value === "ink" ? colour("--ink") : value);
  const number = (value) =>
    value == null ? "–" : value.toLocaleString("en-US", { maximumSignificantDigits: 4 });
  const plots = [];

  function make(tag, attributes, ...children) {
    const element = Object.assign(document.createElement(tag), attributes);
    element.append(...children);
    return element;
  }

  // What a click does, Enter and the space bar do too.
  function pressable(element) {
    element.tabIndex = 0;
    element.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      element.click();
    });
  }

  // The index nearest to the pointer at which a series has a value, as each series has times of its own.
  function nearest(plot, series, index, xValue) {
    const [xs, ys] = [plot.data[0], plot.data[series]];
    let low = index, high = index;
    while (low >= 0 && ys[low] == null) low--;
    while (high < xs.length && ys[high] == null) high++;
    if (low < 0 || high >= xs.length) return low < 0 ? (high < xs.length ? high : index) : low;
    return xValue - xs[low] <= xs[high] - xValue ? low : high;
  }

  // All series over one axis. A place that a series has twice, as where many values are equal, is there twice.
  function joined(series) {
    const points = series.map(({ x, y }) =>
      x.map((at, i) => [at, y[i]]).filter(([at]) => at != null).sort((a, b) => a[0] - b[0]));
    const times = new Map();
    for (const own of points) {
      const counts = new Map();
      for (const [at] of own) counts.set(at, (counts.get(at) ?? 0) + 1);
      for (const [at, count] of counts) times.set(at, Math.max(count, times.get(at) ?? 0));
    }
    const xs = [...times].sort((a, b) => a[0] - b[0]).flatMap(([at, count]) => Array(count).fill(at));
    return [xs, ...points.map((own) => {
      let next = 0;
      return xs.map((at) => (own[next]?.[0] === at ? own[next++][1] : undefined));
    })];
  }

  // Ticks of a logarithmic axis: powers of ten, and their halves and fifths where there are few and there is room.
  function decades(plot, axis, low, high) {
    const found = [];
    const steps = Math.log10(high / low) > 3 ? [1] : Math.log10(high / low) > 1 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 8];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
      for (const step of steps) found.push(step * 10 ** power);
    const shown = found.filter((tick) => tick >= low && tick <= high);
    const powers = shown.filter((tick) => Number.isInteger(Math.round(Math.log10(tick) * 1e9) / 1e9));
    return axis === 0 && shown.length * 48 > plot.width - 70 && powers.length > 1 ? powers : shown;
  }

  function axisOf(axis, side) {
    return {
      ...(axis.log ? { splits: decades, filter: (_, ticks) => ticks } : {}),
      label: axis.label, labelSize: 22, labelFont: "12px system-ui, sans-serif", font: "11px system-ui, sans-serif",
      stroke: paint("ink"), side, size: side === 3 ? 56 : 42,
      grid: { stroke: () => colour("--line"), width: 1 }, ticks: { stroke: () => colour("--line"), width: 1 },
      values: (_, ticks) => ticks.map((tick) => (tick == null ? "" : number(tick))),
    };
  }

  function seriesOf(curve) {
    return {
      label: curve.name || "value", stroke: paint(curve.colour), width: curve.width, dash: curve.dash, spanGaps: true,
      fill: curve.fill ? paint(curve.colour) : undefined,
      paths: curve.width === 0 && !curve.fill ? () => null : curve.steps ? uPlot.paths.stepped({ align: 1 }) : uPlot.paths.linear(),
      points: { show: curve.points || curve.x.length === 1, size: 6 }, value: (_, value) => number(value),
    };
  }

  // Lone marks and lines across the whole chart, which belong to no series.
  function ornaments(spec) {
    return (plot) => {
      const { ctx, bbox } = plot;
      ctx.save();
      ctx.beginPath();
      ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
      ctx.clip();
      for (const rule of spec.rules) {
        ctx.strokeStyle = paint(rule.colour)();
        ctx.setLineDash(rule.dash);
        const at = plot.valToPos(rule.at, rule.axis, true);
        ctx.beginPath();
        if (rule.axis === "x") { ctx.moveTo(at, bbox.top); ctx.lineTo(at, bbox.top + bbox.height); }
        else { ctx.moveTo(bbox.left, at); ctx.lineTo(bbox.left + bbox.width, at); }
        ctx.stroke();
        if (rule.name) {
          ctx.fillStyle = colour("--ink");
          ctx.textAlign = "left";
          ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
          const line = 14 * devicePixelRatio, wide = ctx.measureText(rule.name).width + 4;
          const right = at + wide < bbox.left + bbox.width;
          if (rule.axis === "x") ctx.fillText(rule.name, right ? at + 4 : at - wide, bbox.top + line);
          else ctx.fillText(rule.name, bbox.left + 4, at - line < bbox.top ? at + line : at - 4);
        }
      }
      for (const mark of spec.marks) {
        ctx.fillStyle = paint(mark.colour)();
        mark.x.forEach((x, i) => {
          ctx.beginPath();
          ctx.arc(plot.valToPos(x, "x", true), plot.valToPos(mark.y[i], "y", true), 3 * devicePixelRatio, 0, 7);
          ctx.fill();
        });
      }
      ctx.restore();
    };
  }

  // A series switched on or off is switched in all charts of the page that show one of the same name.
  let switching = false;
  function switchEverywhere(plot, index, options) {
    if (switching || index == null || !("show" in options)) return;
    switching = true;
    for (const other of plots) {
      if (other === plot || plot.series[index].label === "value") continue;
      other.series.forEach((one, i) => {
        if (i > 0 && one.label === plot.series[index].label && one.show !== options.show) other.setSeries(i, options);
      });
    }
    switching = false;
  }

  function draw(holder) {
    const figure = holder.closest("figure"), spec = JSON.parse(holder.textContent);
    const place = make("div", { className: "live" });
    const data = joined(spec.series);
    const picture = figure.querySelector("svg").getBoundingClientRect();
    const height = Math.max(200, Math.min(340, picture.width * 0.45));
    const title = figure.querySelector("h3")?.textContent ?? "chart";
    figure.insertBefore(place, holder);
    const scale = (axis) => ({ time: false, distr: axis.log ? 3 : 1 });
    const [yLow, yHigh] = spec.y.limits, [xLow, xHigh] = spec.x.limits;
    const plot = new uPlot({
      width: picture.width, height,
      scales: {
        x: { ...scale(spec.x), range: (_, low, high) => (low == null || low === data[0][0] && high === data[0].at(-1)
          ? [xLow, xHigh] : [low, high]) },
        y: { ...scale(spec.y), range: [yLow, yHigh] },
      },
      axes: [axisOf(spec.x, 2), axisOf(spec.y, 3)],
      series: [{ label: spec.x.label || "x", value: (_, value) => number(value) }, ...spec.series.map(seriesOf)],
      cursor: { dataIdx: nearest, drag: { x: true, y: false }, sync: { key: `${spec.x.label} ${spec.x.limits}` },
        points: { size: 7 } },
      hooks: { draw: [ornaments(spec)], setSeries: [switchEverywhere] },
    }, data, place);
    const canvas = plot.root.querySelector("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", title);
    plot.root.querySelectorAll(".u-series").forEach((row, i) => {
      const name = row.querySelector("th");
      if (!i || !name) return;
      pressable(name);
      name.setAttribute("role", "button");
      name.setAttribute("aria-label", `${plot.series[i].label}: show or hide`);
    });
    plots.push(plot);
    figure.classList.add("drawn");
    new ResizeObserver(() => {
      const width = Math.floor(place.clientWidth);
      if (width && width !== plot.width) plot.setSize({ width, height: plot.height });
    }).observe(place);
  }

  // What the box under the pointer says, of boxes that are one path in the picture.
  function boxed(holder) {
    const figure = holder.closest("figure"), spec = JSON.parse(holder.textContent);
    const picture = figure.querySelector("svg"), [left, top, width, height] = spec.area;
    const along = (range, share) => range[0] + share * (range[1] - range[0]);
    figure.classList.add("boxed");
    figure.boxAt = ({ clientX, clientY }) => {
      const frame = picture.getBoundingClientRect();
      const x = along(spec.x, ((clientX - frame.left) / frame.width - left) / width);
      const row = Math.round(along(spec.y, ((clientY - frame.top) / frame.height - top) / height));
      const box = spec.boxes.find(([at, start, end]) => at === row && start <= x && x < end);
      if (!box) return "";
      const [, start, end, kind, count] = box;
      return `${spec.rows[row]}, ${spec.kinds[kind]} of ${spec.what} ${count}: starts at ${number(start)} ${spec.unit}, ` +
        `takes ${number(end - start)} ${spec.unit}`;
    };
  }

  function enlargeable(figure) {
    const grid = figure.closest(".figures");
    if (!grid || grid.children.length < 2) return;
    const button = make("button", { type: "button", className: "enlarge", textContent: "Enlarge" });
    button.setAttribute("aria-label", `Enlarge or reduce ${figure.querySelector("h3")?.textContent ?? "the chart"}`);
    button.addEventListener("click", () => {
      const wide = figure.classList.toggle("wide");
      button.textContent = wide ? "Reduce" : "Enlarge";
    });
    figure.prepend(button);
  }

  function tips() {
    const tip = make("div", { className: "tip", role: "tooltip", hidden: true });
    document.body.append(tip);
    for (const title of document.querySelectorAll("figure svg title")) {
      title.parentNode.dataset.tip = title.textContent;
      title.parentNode.setAttribute("aria-label", title.textContent);
      title.remove();
    }
    const show = (event) => {
      const said = event.target.closest?.("[data-tip]")?.dataset.tip ?? event.target.closest?.(".boxed")?.boxAt(event);
      tip.hidden = !said;
      if (!said) return;
      tip.textContent = said;
      const { width, height } = tip.getBoundingClientRect();
      tip.style.left = `${Math.max(4, Math.min(event.clientX + 12, innerWidth - width - 4))}px`;
      tip.style.top = `${event.clientY - height - 10 < 0 ? event.clientY + 16 : event.clientY - height - 10}px`;
    };
    for (const kind of ["pointermove", "pointerdown"]) document.addEventListener(kind, show);
  }

  // A cell is worth its first number, whatever stands behind it; texts sort as texts.
  function sortKeys(table) {
    const rows = [...table.rows].slice(1);
    const columns = Math.max(...rows.map((row) => row.cells.length));
    for (let column = 0; column < columns; column++) {
      const cells = rows.map((row) => row.cells[column]).filter(Boolean);
      const values = cells.map((cell) => /^[-+−]?[\d,]*\.?\d+(e[-+]?\d+)?/i.exec(cell.textContent.trim())?.[0]);
      if (!cells.every((cell, i) => values[i] || /^[–-]?$/.test(cell.textContent.trim()))) continue;
      cells.forEach((cell, i) => {
        cell.dataset.sort = values[i] ? Number(values[i].replace("−", "-").replaceAll(",", "")) : -Infinity;
      });
      table.rows[0].cells[column].dataset.sortMethod = "quantity";
    }
  }

  function sortable(table) {
    const head = table.rows[0];
    if (table.rows.length < 4 || !head.querySelector("th") || table.querySelector("[colspan]")) return;
    if (!table.tHead) table.createTHead().append(head);
    sortKeys(table);
    for (const cell of head.cells) cell.setAttribute("role", "columnheader");
    Tablesort(table);
    for (const cell of head.cells) cell.tabIndex = 0;
    table.classList.add("sortable");
    if (table.rows.length < 12) return;
    const filter = make("input", { type: "search", className: "filter", placeholder: "Show rows that contain …" });
    filter.setAttribute("aria-label", "Show rows that contain");
    filter.addEventListener("input", () => {
      const wanted = filter.value.toLowerCase().split(/\s+/);
      for (const row of [...table.rows].slice(1))
        row.hidden = !wanted.every((word) => row.textContent.toLowerCase().includes(word));
    });
    table.closest(".scroll").before(filter);
  }

  Tablesort.extend("quantity", () => false, (a, b) => parseFloat(b) - parseFloat(a));
  document.querySelectorAll("figure script.curves").forEach(draw);
  document.querySelectorAll("figure script.boxes").forEach(boxed);
  document.querySelectorAll("figure").forEach(enlargeable);
  document.querySelectorAll("table").forEach(sortable);
  tips();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots.forEach((plot) => plot.redraw()));
  document.documentElement.dataset.ready = "true";
})();
