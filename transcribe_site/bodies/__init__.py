"""Limit what the body of a request may cost, before it is read and while it is read.

Django writes the whole body to disk before any view runs, no matter who sent it. Its upload handlers then
write the files in it a second time. So limits in a view or in an upload handler would come too late.
"""
