"""What an enclave runs, and the one number that names it.

Hardware measures what is loaded into an enclave. The simulated one measures itself, and an agent
computes what it expects from its own installation, without loading any of it: the same release,
lock, wheels and interpreter give the same number. It covers, no more and no less,

- `code`: the files of SecureFlow that the entry point imports, packages on the way included;
- `lock`: the requirements that releases are installed from;
- `distribution`: what these files stand on, by the checksums of each RECORD;
- `interpreter`: the executable, its library, and the standard library.

The measurement is the SHA-256 of the manifest's text, one line each; `secureflow enclave measure`
prints it. It says nothing of what lies below: the C library, OpenSSL, the kernel, the machine.
"""

from secureflow.kit.measurement.manifest import CodeManifest, code_measurement, measure

__all__ = ["CodeManifest", "code_measurement", "measure"]
