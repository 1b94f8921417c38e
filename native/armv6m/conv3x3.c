// 3x3 convolution forward: chooses the walk of each filter and runs the assembly.
//
// Scratch: packed inputs (conv3x3_pack.c), the packed weights of one filter, a byte per output
// for its winner (or, where there is no pooling and the image is not of whole blocks, for the
// output), and for one input channel the list of blocks that are not zero.

#include "bytes.h"
#include "conv3x3.h"
#include "fast.h"
#include "layout.h"
#include "rounding.h"
#include "scratch.h"

enum {
    CENTRE = 64, // inputs of 0..127 are stored less this much
    LANE_WEIGHTS = 511, // sum(|w|) of the taps in a lane: 511 * 64 < 32768
    LANE_WEIGHTS_SIGNED = 258, // the same for inputs of -127..127: 258 * 127 < 32768
};

typedef struct {
    const int32_t *d;
    conv3x3_geometry geometry;
    int32_t centre;
    int32_t limit; // of the sum of |w| in a lane
    uint32_t *inputs;
    uint32_t *weights;
    uint32_t *bytes; // winners, or outputs of whole blocks
    uint32_t *list;
    uint32_t *list_end;
} layer_t;

int32_t conv3x3_forward_words(const int32_t *d) {
    conv3x3_geometry v = conv3x3_geometry_of(d);
    int32_t list = d[N_IN] == 1 ? 2 * v.rows * v.columns : 0;
    return conv3x3_inputs_words(&v, d) + 6 * (d[N_IN] + 1) + words_of(v.outputs) + list;
}

static void prepare(layer_t *v, const int8_t *x, int32_t *scratch, const int32_t *d) {
    int32_t is_signed = d[X_RELU] == 0 && any_negative(x, d[N_IN] * d[H_IN] * d[W_IN]);
    v->d = d;
    v->geometry = conv3x3_geometry_of(d);
    v->centre = is_signed ? 0 : CENTRE;
    v->limit = is_signed ? LANE_WEIGHTS_SIGNED : LANE_WEIGHTS;
    v->inputs = (uint32_t *)scratch;
    v->weights = v->inputs + conv3x3_inputs_words(&v->geometry, d);
    v->bytes = v->weights + 6 * (d[N_IN] + 1);
    v->list = v->bytes + words_of(v->geometry.outputs);
    uint32_t zero = 0 - ((uint32_t)v->centre << 16) - (uint32_t)v->centre;
    conv3x3_pack_inputs(v->inputs, x, zero, &v->geometry, d);
    v->bytes[words_of(v->geometry.outputs) - 1] = 0; // behind the last winner
    if (d[N_IN] == 1) {
        v->list_end = conv3x3_list_blocks(v->list, v->inputs, zero, &v->geometry, d);
    }
}

static void all_blocks(const layer_t *v, int8_t *y, int32_t rounding, const int32_t lanes[2]) {
    const int32_t *d = v->d;
    struct conv3x3_job job;
    job.shift = d[FORWARD_SHIFT];
    job.low = d[RELU] != 0 ? 0 : -127;
    job.pool = d[POOL] == 2;
    job.to_winner = job.pool ? (int32_t)((int8_t *)v->bytes - y) : 2 * v->geometry.columns;
    job.y = y;
    job.y_skip = job.pool ? 0 : 2 * v->geometry.columns;
    job.weights = v->weights;
    job.weights_end = v->weights + 6 * v->geometry.channels;
    job.rounding = rounding;
    job.inputs = v->inputs;
    job.rows = v->geometry.rows;
    job.columns = v->geometry.columns;
    job.step = 4 * v->geometry.width - 16;
    job.back = 4 * v->geometry.row_words - 8;
    job.next_row = 4 * v->geometry.row_words - 8 * v->geometry.columns;
    job.walk = lanes[1] <= v->limit ? WALK_PAIRS
        : lanes[0] <= v->limit ? WALK_SINGLES : WALK_EXACT;
    conv3x3_blocks(&job);
}

// One input channel: the blocks that are not listed see zeros, so their output is 0, winner 0.
static void listed_blocks(const layer_t *v, int8_t *y, int32_t rounding) {
    const int32_t *d = v->d;
    struct conv3x3_one_job job;
    if (v->list_end - v->list != 2 * v->geometry.rows * v->geometry.columns) {
        clear_bytes(y, v->geometry.outputs);
        clear_bytes((int8_t *)v->bytes, 4 * words_of(v->geometry.outputs));
    }
    if (v->list == v->list_end) {
        return;
    }
    job.shift = d[FORWARD_SHIFT];
    job.low = d[RELU] != 0 ? 0 : -127;
    job.pool = d[POOL] == 2;
    job.to_winner = job.pool ? (int32_t)((int8_t *)v->bytes - y) : 2 * v->geometry.columns;
    job.y = y;
    job.weights = v->weights;
    job.rounding = rounding;
    job.step = 8 * v->geometry.width - 16;
    job.list = v->list;
    job.list_end = v->list_end;
    conv3x3_one_blocks(&job);
}

// The outputs of a filter out of those of whole blocks.
static void cut_out(int8_t *y, const layer_t *v) {
    const int8_t *row = (const int8_t *)v->bytes;
    for (int32_t left = v->d[H_OUT]; left != 0; left--) {
        for (int32_t x = 0; x < v->d[W_OUT]; x++) {
            *y++ = row[x];
        }
        row += 2 * v->geometry.columns;
    }
}

int32_t fast_conv2d_forward(int8_t *y, uint8_t *argmax, const int8_t *x, const uint8_t *w,
    int32_t *scratch, const int32_t *d) {
    layer_t v;
    prepare(&v, x, scratch, d);
    int32_t outputs = d[H_OUT] * d[W_OUT], argmax_bytes = channel_argmax_bytes(d);
    int32_t is_whole = outputs == v.geometry.outputs;
    y += d[ROW] * outputs;
    argmax += d[ROW] * argmax_bytes;
    for (int32_t row = d[ROWS]; row != 0; row--) {
        int32_t lanes[2];
        int8_t *to = is_whole ? y : (int8_t *)v.bytes;
        int32_t sum = conv3x3_pack_filter(v.weights, w, d[N_IN], lanes);
        int32_t rounding = v.centre * sum + (1 << d[FORWARD_SHIFT] >> 1);
        if (d[N_IN] == 1 && lanes[0] <= v.limit) {
            listed_blocks(&v, to, rounding);
        } else {
            all_blocks(&v, to, rounding, lanes);
        }
        if (d[POOL] == 2) {
            conv3x3_pack_winners(argmax, v.bytes, argmax_bytes);
        } else if (!is_whole) {
            cut_out(y, &v);
        }
        argmax += argmax_bytes;
        y += outputs;
        w += d[N_ROW];
    }
    return 0;
}
