"""Pictures of certificates. Ring 2: nothing here decides anything, and no verdict rests on it.

What is drawn comes from the readers that `tlcheck verify` uses, so it is what is checked. The same certificate gives the
same bytes. Only this package needs matplotlib (the extra ``plot``).
"""
