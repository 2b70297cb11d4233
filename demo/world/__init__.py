"""The miniature world that the trained tiny models know: cartoon people whose mouths follow their voices."""
