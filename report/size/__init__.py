"""How large an array may get: tables, figure and page."""
