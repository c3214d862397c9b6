"""The tracking store of the tests of packages."""

from tests.package.conftest import empty_database, params, store_env, store_uri  # noqa: F401  (fixtures)
