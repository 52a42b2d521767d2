"""The native kernels: against exact arithmetic, under sanitizers, as PTX and SASS."""
