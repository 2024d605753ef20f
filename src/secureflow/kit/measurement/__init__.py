"""What an enclave runs, and the number that identifies it.

Hardware measures what is loaded into an enclave. The simulated enclave measures itself, and an
agent computes the expected value from its own installation, without loading any of it: the same
release, lock, wheels and interpreter give the same number. It covers exactly

- `code`: the files of SecureFlow that the entry point imports, packages on the way included;
- `lock`: the requirements that releases are installed from;
- `distribution`: what these files depend on, by the checksums of each RECORD;
- `interpreter`: the executable, its library, and the standard library.

The measurement is the SHA-256 of the manifest's text, one line each; `secureflow enclave measure`
prints it. It does not cover the layers below: the C library, OpenSSL, the kernel, the machine.
"""

from secureflow.kit.measurement.manifest import CodeManifest, code_measurement, measure

__all__ = ["CodeManifest", "code_measurement", "measure"]
