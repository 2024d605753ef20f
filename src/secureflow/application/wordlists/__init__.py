"""Word lists as data: `common_passwords.txt.gz`, one casefolded password a line, sorted.

It joins the lists of two libraries under the MIT licence (LICENSE.txt beside it), zxcvbn-ts
(`@zxcvbn-ts/language-common` 4.1.3) and zxcvbn-python 4.5.0, both made of passwords that were found
in published breaches.
"""
