"""Prints the descriptor of every stage of model files in hex: descriptors.py FILE...

One line a stage, then "checked" once the weights are; a file that is refused: "refused TEXT".
"""

import sys
from binascii import hexlify

from priot.model_file import Description

for path in sys.argv[1:]:
    with open(path, "rb") as f:
        try:
            description = Description(f, path)
            payload = f.read(description.weight_bytes)
            description.check_weights(path, payload)
        except ValueError as e:
            print("refused", e)
            continue
    for stage in description.stages:
        print(str(hexlify(stage.d), "ascii"), stage.index, stage.input, stage.exponent,
              stage.weight_exponent, stage.bits_weights, stage.bits_scores)
    print("checked", description.name, description.input_exponent, *description.names)
