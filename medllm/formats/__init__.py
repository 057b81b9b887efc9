"""Files <-> Note and Extraction, one module a format.

Notes in: ``inputs``. Annotation formats by name: ``registry``; what they share: ``base``, ``classes``, ``ids``, ``files``.
"""
