"""Tables as classes: fields with types and defaults, values checked when they come in, all that is wrong at once.

A library for it (pydantic) was used before; of what it can do the settings need little, and it took a sixth of an idle relay's memory.

In: classes with annotations, data as TOML has it. Out: frozen values. Never: an error that holds back another one, or a value in a message.
"""

from qboxrelay.settings.typed.errors import Mistake, ValidationError
from qboxrelay.settings.typed.fields import BeforeValidator, Field, FieldInfo
from qboxrelay.settings.typed.model import Model
from qboxrelay.settings.typed.sizes import ByteSize

__all__ = ["BeforeValidator", "ByteSize", "Field", "FieldInfo", "Mistake", "Model", "ValidationError"]
