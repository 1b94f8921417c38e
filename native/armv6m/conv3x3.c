// 3x3 convolution forward: chooses the walk of each filter and runs the assembly.
//
// Scratch: packed inputs (conv3x3_pack.c), the packed weights of one filter, a byte per output
// for its winner (or, where there is no pooling and the image is not of whole blocks, for the
// output), and for one input channel the list of blocks that are not zero.

#include "bias.h"
#include "bytes.h"
#include "conv3x3.h"
#include "fast.h"
#include "rounding.h"
#include "scratch.h"

enum {
    CENTRE = 64, // inputs of 0..127 are stored less this much
    LANE_WEIGHTS = 511, // sum(|w|) of the taps in a lane: 511 * 64 < 32768
    LANE_WEIGHTS_SIGNED = 258, // the same for inputs of -127..127: 258 * 127 < 32768
};

typedef struct {
    conv3x3_geometry geometry;
    struct conv3x3_job job; // without what changes from filter to filter
    int32_t centre;
    int32_t limit; // of the sum of |w| in a lane
    uint32_t *weights;
    uint32_t *bytes; // winners, or outputs of whole blocks
} layer_t;

static void prepare_job(struct conv3x3_job *job, const conv3x3_geometry *v, const int32_t *d) {
    int32_t width_out = 2 * v->columns;
    job->shift = d[FORWARD_SHIFT];
    job->low = d[RELU] != 0 ? 0 : -127;
    job->pool = d[POOL_H] == 2;
    job->to_winner = width_out; // unless pooled
    job->y_skip = job->pool ? 0 : width_out;
    job->columns = v->columns;
    job->step = 4 * v->width - 16;
    job->phase_step = 8 * v->width - 16;
    job->back = 4 * v->row_words - 8;
    job->next_row = 4 * v->row_words - 8 * v->columns;
}

static void prepare(layer_t *v, const int8_t *x, int32_t *scratch, const int32_t *d) {
    int32_t is_signed = d[NONNEGATIVE] == 0 && any_negative(x, d[N_IN] * d[H_IN] * d[W_IN]);
    v->centre = is_signed ? 0 : CENTRE;
    v->limit = is_signed ? LANE_WEIGHTS_SIGNED : LANE_WEIGHTS;
    v->geometry = conv3x3_geometry_of(d);
    uint32_t *inputs = (uint32_t *)scratch;
    v->weights = inputs + conv3x3_inputs_words(&v->geometry, d);
    v->bytes = v->weights + 6 * (d[N_IN] + 1);
    v->bytes[words_of(v->geometry.outputs) - 1] = 0; // behind the last winner
    uint32_t zero = 0 - ((uint32_t)v->centre << 16) - (uint32_t)v->centre;
    conv3x3_pack_inputs(inputs, x, zero, &v->geometry, d);
    prepare_job(&v->job, &v->geometry, d);
    v->job.inputs = inputs;
    v->job.weights = v->weights;
    v->job.weights_end = v->weights + 6 * v->geometry.channels;
    if (d[N_IN] == 1) {
        uint32_t *list = v->bytes + words_of(v->geometry.outputs);
        v->job.list = list;
        v->job.list_end = conv3x3_list_blocks(list, inputs, zero, &v->geometry, d);
    }
}

// One input channel: the blocks that are not listed see zeros, so their output is 0, winner 0.
static void listed_blocks(const layer_t *v, int8_t *y) {
    int32_t listed = (int32_t)(v->job.list_end - v->job.list) >> 1;
    if (listed != v->geometry.rows * v->geometry.columns) {
        clear_bytes(y, v->geometry.outputs);
        clear_bytes((int8_t *)v->bytes, 4 * words_of(v->geometry.outputs));
    }
    if (listed != 0) {
        conv3x3_one_blocks(&v->job);
    }
}

// The outputs of one filter, whole blocks; their sums start from `start`.
static void filter(layer_t *v, int8_t *y, const uint8_t *w, int32_t start, const int32_t *d) {
    int32_t lanes[2];
    int32_t sum = conv3x3_pack_weights(v->weights, w, d[N_IN], lanes);
    v->job.rounding = v->centre * sum + start;
    v->job.y = y;
    if (v->job.pool) {
        v->job.to_winner = (int32_t)((int8_t *)v->bytes - y);
    }
    if (d[N_IN] == 1 && lanes[0] <= v->limit && d[BIAS] == 0) {
        listed_blocks(v, y);
        return;
    }
    v->job.rows = v->geometry.rows;
    v->job.walk = lanes[1] <= v->limit ? WALK_PAIRS
        : lanes[0] <= v->limit ? WALK_SINGLES : WALK_EXACT;
    conv3x3_blocks(&v->job);
}

// The outputs of a filter out of those of whole blocks.
static void cut_out(int8_t *y, const layer_t *v, const int32_t *d) {
    const int8_t *row = (const int8_t *)v->bytes;
    for (int32_t left = d[H_OUT]; left != 0; left--) {
        for (int32_t x = 0; x < d[W_OUT]; x++) {
            *y++ = row[x];
        }
        row += 2 * v->geometry.columns;
    }
}

int32_t conv3x3_forward(int8_t *y, uint8_t *argmax, const int8_t *x, const uint8_t *w,
    const int32_t *bias, int32_t *scratch, const int32_t *d) {
    layer_t v;
    prepare(&v, x, scratch, d);
    int32_t outputs = d[H_OUT] * d[W_OUT], argmax_bytes = channel_argmax_bytes(d);
    int32_t is_whole = outputs == v.geometry.outputs;
    y += d[ROW] * outputs;
    argmax += d[ROW] * argmax_bytes;
    for (int32_t row = d[ROW], left = d[ROWS]; left != 0; left--) {
        filter(&v, is_whole ? y : (int8_t *)v.bytes, w, sum_start(bias, row++, d), d);
        if (d[POOL_H] == 2) {
            conv3x3_pack_winners(argmax, v.bytes, argmax_bytes);
        } else if (!is_whole) {
            cut_out(y, &v, d);
        }
        argmax += argmax_bytes;
        y += outputs;
        w += d[N_ROW];
    }
    return 0;
}
