"""Questions on paragraphs: files, token windows, the model of spans, and how answers are judged."""
