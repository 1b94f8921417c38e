"""Reports as JSON, text, tables and plots."""
