"""Ring 2: finding what scientific claims need as evidence. Nothing here can make a claim true."""
