"""What a serving run did: figures, tables, pages, metrics and timelines."""
