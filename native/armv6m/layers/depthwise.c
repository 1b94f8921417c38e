// Depthwise 3x3 convolution, channel by channel: stride 1 by depthwise_blocks.S, stride 2 by
// depthwise_rows.S.
//
// Scratch: a row of zeros, and of each core, where there is room for two, a channel's inputs, packed
// or with borders, the weights of a filter, and outputs of whole blocks where the image is not of
// those (stride 2).

#include "bias.h"
#include "bytes.h"
#include "conv3x3.h"
#include "copy_row.h"
#include "crew.h"
#include "depthwise.h"
#include "fast.h"
#include "rounding.h"
#include "scratch.h"

enum {
    CENTRE = 64, // inputs of 0..127 are stored less this much
    LANE_WEIGHTS = 511, // sum(|w|) of the taps in a lane: 511 * 64 < 32768
    LANE_WEIGHTS_SIGNED = 258, // the same for inputs of -127..127: 258 * 127 < 32768
};

// A core has its own: inputs and what follows.
typedef struct {
    const int32_t *d;
    int8_t *y;
    const int8_t *x;
    const uint8_t *w;
    const int32_t *bias;
    depthwise_geometry geometry;
    struct depthwise_job job; // without what changes from filter to filter
    int32_t is_signed;
    int32_t is_strided;
    int8_t *zeros;
    uint32_t *inputs;
    uint32_t *weights;
    int8_t *outputs;
} layer_t;

static uint32_t zero_word(const layer_t *v) {
    return v->is_strided ? (v->is_signed ? 0x80808080u : 0)
        : v->is_signed ? 0 : 0 - ((uint32_t)CENTRE << 16) - CENTRE;
}

// A core's own part of scratch.
static void divide(layer_t *v, int32_t core) {
    int32_t rows = depthwise_rows(&v->geometry, v->d), width = v->geometry.width;
    uint32_t zero = zero_word(v);
    v->inputs = (uint32_t *)v->zeros + words_of(v->d[W_IN]) + core * depthwise_core_words(v->d);
    v->weights = v->inputs + rows * width;
    v->outputs = (int8_t *)(v->weights + 12);
    v->job.inputs = v->inputs + (v->is_strided ? 0 : width);
    v->job.weights = v->weights + (v->is_strided ? 0 : 3); // conv3x3_pack_weights
    for (int32_t i = 0; i < rows * width; i++) {
        v->inputs[i] = zero;
    }
}

static void prepare(layer_t *v, int32_t *scratch) {
    const int32_t *d = v->d;
    v->geometry = depthwise_geometry_of(d);
    v->is_signed = d[NONNEGATIVE] == 0 && any_negative(v->x, d[N_IN] * d[H_IN] * d[W_IN]);
    v->is_strided = d[STRIDE_H] == 2;
    v->zeros = (int8_t *)scratch;
    clear_bytes(v->zeros, d[W_IN]);
    struct depthwise_job *job = &v->job;
    int32_t width = v->geometry.width;
    job->shift = d[FORWARD_SHIFT];
    job->low = d[RELU] != 0 ? 0 : -127;
    job->high = d[HIGH];
    job->columns = v->geometry.columns;
    if (v->is_strided) {
        job->phase_step = 4 * width;
        job->back = 8 * width - 8;
        job->row_step = 8 * width - 8 * job->columns;
    } else {
        job->columns = d[W_OUT] >> 1;
        job->phase_step = 4 * width - 16;
        job->row_step = 8 * width - 8 * job->columns;
        job->lower = d[W_OUT];
        job->is_odd = d[W_OUT] & 1;
        job->last_lower = d[W_OUT] * (1 - (d[H_OUT] & 1));
    }
}

// Columns of the image that some block sees.
static int32_t columns_seen(const layer_t *v) {
    int32_t width = v->is_strided ? 4 * v->geometry.width : v->geometry.width;
    return smaller(v->d[W_IN], width - v->d[PAD_LEFT]);
}

static void pack_channel(const layer_t *v, const int8_t *x) {
    const int32_t *d = v->d;
    int32_t n = columns_seen(v), width = v->geometry.width, w_in = d[W_IN];
    struct depthwise_pack job;
    job.lower = v->inputs + d[PAD_LEFT];
    job.upper = job.lower + width;
    job.first = x + n;
    job.a = job.first - d[PAD_TOP] * w_in;
    // pairs below the image stay zeros
    job.left = smaller(v->geometry.rows + 1, (d[H_IN] + d[PAD_TOP] + 1) >> 1);
    job.minus_n = -n;
    job.zero = zero_word(v);
    job.size = (uint32_t)(d[H_IN] * w_in);
    job.step = 8 * width - 4 * n;
    job.w_in = w_in;
    job.zeros = v->zeros + n;
    depthwise_pack(&job);
}

static void copy_channel(const layer_t *v, const int8_t *x) {
    const int32_t *d = v->d;
    int32_t n = columns_seen(v), row = 4 * v->geometry.width;
    int8_t *to = (int8_t *)v->inputs + d[PAD_TOP] * row + d[PAD_LEFT];
    int32_t rows = smaller(d[H_IN], 2 * v->geometry.rows + 1 - d[PAD_TOP]);
    for (; rows > 0; rows--) {
        copy_row(to, x, n, zero_word(v));
        to += row;
        x += d[W_IN];
    }
}

// Packs the weights of a filter; returns their sum, and whether they are too large for the lanes.
static int32_t pack_weights(const layer_t *v, const uint8_t *w, int32_t *is_exact) {
    int32_t limit = v->is_signed ? LANE_WEIGHTS_SIGNED : LANE_WEIGHTS, sum = 0, largest = 0;
    if (!v->is_strided) {
        int32_t lanes[2];
        sum = conv3x3_pack_weights(v->weights, w, 1, lanes);
        largest = lanes[0];
    } else {
        uint32_t *to = v->weights;
        for (int32_t ky = 3; ky != 0; ky--) {
            int32_t row = 0, size = 0;
            for (int32_t kx = 3; kx != 0; kx--) {
                int32_t value = *w++ - 128;
                row += value;
                size += absolute(value);
                *to++ = (uint32_t)value;
            }
            sum += row;
            largest = larger(largest, size);
            *to++ = 0 - (uint32_t)row * (v->is_signed ? 0x800080u : 0x400040u);
        }
    }
    *is_exact = largest > limit;
    return v->is_signed ? 0 : CENTRE * sum;
}

// The outputs of a channel whose weights do not fit the lanes of depthwise_rows.S.
static void put_slowly(const layer_t *v, int8_t *y, const struct depthwise_job *job) {
    const uint8_t *row = (const uint8_t *)v->inputs;
    const int32_t *w = (const int32_t *)v->weights;
    int32_t step = 4 * v->geometry.width;
    for (int32_t py = v->geometry.rows; py != 0; py--) {
        for (int32_t px = 0; px < 4 * v->geometry.columns; px++) {
            int32_t sum = job->rounding;
            for (int32_t ky = 0; ky < 3; ky++) {
                const uint8_t *at = row + ky * step + 2 * px;
                sum += w[4 * ky] * (at[0] - 128) + w[4 * ky + 1] * (at[1] - 128)
                    + w[4 * ky + 2] * (at[2] - 128);
            }
            *y++ = (int8_t)clamp(sum >> job->shift, job->low, job->high);
        }
        row += 2 * step;
    }
}

static void copy_outputs(const layer_t *v, int8_t *y) {
    const int8_t *row = v->outputs;
    for (int32_t left = v->d[H_OUT]; left != 0; left--) {
        for (int32_t x = 0; x < v->d[W_OUT]; x++) {
            *y++ = row[x];
        }
        row += 4 * v->job.columns;
    }
}

// A part of the channels.
static void channels_share(void *shared, int32_t core, int32_t cores) {
    layer_t v;
    copy_words(&v, shared, sizeof(v));
    divide(&v, core);
    const int32_t *d = v.d;
    struct depthwise_job *job = &v.job;
    int32_t outputs = d[H_OUT] * d[W_OUT], is_whole = !v.is_strided || outputs == v.geometry.outputs;
    int32_t i = crew_start(d[ROWS], 1, core, cores), end = crew_start(d[ROWS], 1, core + 1, cores);
    const uint8_t *w = v.w + 9 * i;
    for (; i < end; i++) {
        int32_t row = d[ROW] + i;
        const int8_t *channel = v.x + row * d[H_IN] * d[W_IN];
        job->rounding = pack_weights(&v, w, &job->is_exact) + sum_start(v.bias, row, d);
        job->y = is_whole ? v.y + row * outputs : v.outputs;
        job->rows = v.geometry.rows;
        if (!v.is_strided) {
            pack_channel(&v, channel);
            depthwise_blocks(job);
        } else {
            copy_channel(&v, channel);
            if (job->is_exact) { // of signed inputs
                put_slowly(&v, job->y, job);
            } else {
                depthwise_strided(job);
            }
        }
        if (!is_whole) {
            copy_outputs(&v, v.y + row * outputs);
        }
        w += 9;
    }
}

int32_t depthwise3x3_forward(int8_t *y, uint8_t *argmax, const int8_t *x, const uint8_t *w,
    const int32_t *bias, int32_t *scratch, const int32_t *d) {
    (void)argmax;
    layer_t v;
    v.d = d;
    v.y = y;
    v.x = x;
    v.w = w;
    v.bias = bias;
    prepare(&v, scratch);
    if (depthwise_cores(d) == CREW) {
        crew_run(channels_share, &v);
    } else {
        channels_share(&v, 0, 1);
    }
    return 0;
}
