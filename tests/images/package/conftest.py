"""The tracking store of the tests of packages."""

from tests.package.conftest import params, store_env, store_uri  # noqa: F401  (fixtures)
