#!/bin/sh
# Makes the backbones of this folder anew, into build/backbones:
#   host_tools/backbones/make.sh [MNIST-FOLDER]
# Without a folder of MNIST's idx files only the digits backbones are made. Needs PyTorch, by which
# they were trained at first:
#   .venv/bin/pip install torch
set -eu
cd "$(dirname "$0")/../.."
PRIOT=${PRIOT:-.venv/bin/priot}
PRETRAIN=${PRETRAIN:-.venv/bin/python host_tools/backbones/by_torch.py}
folder=build/backbones
mkdir -p "$folder"

# backbone NAME NETWORK DATA SEED "OPTIONS OF PRETRAIN" ANGLES...
backbone() {
    name=$1 network=$2 data=$3 seed=$4 options=$5
    shift 5
    $PRETRAIN "$folder/$data-pretrain.prd" --network "$network" $options --seed "$seed" \
        --test "$folder/$data-test-0.prd" -o "$folder/$name.npz"
    $PRIOT quantize "$folder/$name.npz" --calibrate "$folder/$data-pretrain.prd" \
        -o "$folder/$name.priot"
    for angle in "$@"; do
        echo "$name, test images at $angle degrees:"
        $PRIOT evaluate "$folder/$name.priot" "$folder/$data-test-$angle.prd" | head -n 1
    done
}

# data NAME ANGLES... -- SOURCE [PATH]
data() {
    name=$1
    shift
    angles=
    while [ "$1" != -- ]; do
        angles="$angles $1"
        shift
    done
    shift
    $PRIOT dataset "$@" --part pretrain -o "$folder/$name-pretrain.prd"
    for angle in $angles; do
        $PRIOT dataset "$@" --part test --rotate "$angle" -o "$folder/$name-test-$angle.prd"
    done
}

data digits 0 30 45 -- digits
for seed in 0 1 2; do
    backbone "digits-$seed" digits digits "$seed" "--epochs 40 --batch 32" 0 30 45
done
if [ $# -gt 0 ]; then
    data mnist 0 30 45 60 90 -- mnist "$1"
    recipe="--optimizer adamw --lr 0.003 --weight-decay 0.05 --clip 0 --epochs 10"
    for seed in 0 1 2; do
        backbone "mnist-a-$seed" network-a mnist "$seed" "$recipe --shift 1" 0 30 45 60 90
        backbone "mnist-a-still-$seed" network-a mnist "$seed" "$recipe" 0 30 45 60 90
    done
fi
cmp_status=0
for model in "$folder"/*.priot; do
    cmp "$model" "host_tools/backbones/${model##*/}" || cmp_status=1
done
exit $cmp_status
