"""Settings: a typed, documented schema and its loading.

In: a TOML file, the environment, a credentials directory. Out: a frozen `Settings`, or `SettingsError` with every problem at
once. Never: reading at import time, a secret that prints.
"""
