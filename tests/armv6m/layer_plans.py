"""Prints what the module priot_plan says of layers for priot_layers, a line of JSON each.

    micropython layer_plans.py LAYERS N_FIELDS PLAN_FORWARD

LAYERS: int32, for each its kind and its descriptor of N_FIELDS words. A line: number of the plan,
its name, what it writes to PLAN_FORWARD, layers_scratch_words with training 0, 1, 2.
"""

import json
import sys
from array import array

import priot_plan


def main():
    n_fields, first = [int(argument) for argument in sys.argv[2:]]
    with open(sys.argv[1], "rb") as f:
        while True:
            record = array("i", f.read(4 * (1 + n_fields)))
            if not record:
                return
            kind, d = record[0], record[1:]
            number = priot_plan.layers_plan(kind, d)
            print(json.dumps([number, priot_plan.layers_plan_name(number), d[first]] + [
                priot_plan.layers_scratch_words(kind, training, d) for training in range(3)]))


if __name__ == "__main__":
    main()
