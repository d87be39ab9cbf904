"""Model families, one module each: `build(batch, format, **options)` gives a `Graph`, or a `Model` of several."""
