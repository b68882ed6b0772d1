"""The table of contents: one module per chapter, one small function per recipe or demo."""
