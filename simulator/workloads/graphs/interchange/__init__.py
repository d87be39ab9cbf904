"""Parts of reading and writing graphs in the formats of other frameworks."""
