#!/bin/sh
# VGG11 with batch norm at a quarter of its width: pretrains it on upright images of CIFAR-10,
# adapts it to turned ones by every method (vgg11.toml), and trains it in float for comparison:
#   host_tools/experiments/vgg11.sh FOLDER [OPTIONS OF PRIOT EXPERIMENT]
# FOLDER: pretrain.prd, train.prd and test.prd, datasets of 32x32 colour images with no image in
# two of them. Of the official batches:
#   priot dataset cifar10 BATCHES --part pretrain -o FOLDER/pretrain.prd
#   priot dataset cifar10 BATCHES --part train -o FOLDER/train.prd
#   priot dataset cifar10 BATCHES --part test -o FOLDER/test.prd
# What is made goes there, too, and is made once: interrupted, the same command goes on. Pretraining
# is by priot, or faster by PyTorch:
#   PRETRAIN=".venv/bin/python host_tools/backbones/by_torch.py" host_tools/experiments/vgg11.sh ...
# For the full width give WIDTH=1: 9,222,848 weights, 16 times the time.
set -eu
[ $# -gt 0 ] && [ -d "$1" ] || { echo "usage: $0 FOLDER [OPTIONS]" >&2; exit 2; }
folder=$(cd "$1" && pwd)
shift
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-.venv/bin/python}
PRIOT=${PRIOT:-.venv/bin/priot}
PRETRAIN=${PRETRAIN:-$PRIOT pretrain}

[ -e "$folder/vgg11.npz" ] ||
    $PRETRAIN "$folder/pretrain.prd" --network vgg11-bn --width "${WIDTH:-0.25}" \
        --epochs "${EPOCHS:-20}" --batch 64 --lr 0.005 --shift 2 --clip 0 \
        --test "$folder/test.prd" -o "$folder/vgg11.npz"
[ -e "$folder/vgg11.priot" ] ||
    $PRIOT quantize "$folder/vgg11.npz" --calibrate "$folder/pretrain.prd" \
        --test "$folder/test.prd" -o "$folder/vgg11.priot"
cp host_tools/experiments/vgg11.toml "$folder"
$PRIOT experiment "$folder/vgg11.toml" -o "$folder" "$@"
$PYTHON host_tools/experiments/ceiling.py "$folder/vgg11.toml" "$folder/vgg11.npz"
