"""Pictures of an evaluation as inline SVG and tables: no script, both languages, light and dark."""
