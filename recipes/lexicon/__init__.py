"""The text that `lexicon`, the shipped model of English, learns from: a file per kind of source."""
