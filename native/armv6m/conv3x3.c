// 3x3 convolution forward: chooses the walk of each filter and runs the assembly.
//
// Scratch: packed inputs of a band (conv3x3_pack.c), for one input channel the list of blocks that
// are not zero, and of each core the packed weights of one filter and a byte per output for its
// winner (or, where there is no pooling and the image is not of whole blocks, for the output).
// Filters are packed anew for each band: 150 cycles per channel.

#include "bias.h"
#include "bytes.h"
#include "conv3x3.h"
#include "crew.h"
#include "fast.h"
#include "rounding.h"
#include "scratch.h"

enum {
    CENTRE = 64, // inputs of 0..127 are stored less this much
    LANE_WEIGHTS = 511, // sum(|w|) of the taps in a lane: 511 * 64 < 32768
    LANE_WEIGHTS_SIGNED = 258, // the same for inputs of -127..127: 258 * 127 < 32768
};

// What a core knows of the layer; the last two and what changes from filter to filter in `job` are
// its own.
typedef struct {
    conv3x3_geometry geometry;
    struct conv3x3_job job;
    int32_t centre;
    int32_t limit; // of the sum of |w| in a lane
    const uint32_t *lists[CREW]; // one input channel: each core has listed some rows of blocks
    const uint32_t *list_ends[CREW];
    uint32_t *weights;
    uint32_t *bytes; // winners, or outputs of whole blocks
} layer_t;

typedef struct {
    layer_t layer;
    int32_t above; // rows of blocks above the band
    int8_t *y;
    uint8_t *argmax;
    const int8_t *x;
    const uint8_t *w;
    const int32_t *bias;
    const int32_t *d;
    uint32_t *inputs;
    uint32_t *list;
    uint32_t zero;
} work_t;

static void prepare_job(struct conv3x3_job *job, const conv3x3_geometry *v, const int32_t *d) {
    int32_t width_out = 2 * v->columns;
    job->shift = d[FORWARD_SHIFT];
    job->low = d[RELU] != 0 ? 0 : -127;
    job->pool = d[POOL_H] == 2;
    job->to_winner = width_out; // unless pooled
    job->y_skip = job->pool ? 0 : width_out;
    job->columns = v->columns;
    job->step = 4 * v->width - 16;
    job->back = 4 * v->row_words - 8;
    job->next_row = 4 * v->row_words - 8 * v->columns;
}

static void pack_share(void *job, int32_t core, int32_t cores) {
    work_t *v = job;
    const conv3x3_geometry *geometry = &v->layer.geometry;
    int32_t n = geometry->rows + 1;
    conv3x3_pack_inputs(v->inputs, v->x, v->zero, geometry, v->above,
        crew_start(n, 1, core, cores), crew_start(n, 1, core + 1, cores), v->d);
}

static void list_share(void *job, int32_t core, int32_t cores) {
    work_t *v = job;
    const conv3x3_geometry *geometry = &v->layer.geometry;
    int32_t first = crew_start(geometry->rows, 1, core, cores);
    uint32_t *list = v->list + 2 * first * geometry->columns;
    v->layer.lists[core] = list;
    v->layer.list_ends[core] = conv3x3_list_blocks(list, v->inputs, v->zero, geometry, first,
        crew_start(geometry->rows, 1, core + 1, cores), v->d);
}

static void prepare(work_t *v, int32_t *scratch) {
    const int32_t *d = v->d;
    layer_t *layer = &v->layer;
    int32_t is_signed = d[NONNEGATIVE] == 0 && any_negative(v->x, d[N_IN] * d[H_IN] * d[W_IN]);
    layer->centre = is_signed ? 0 : CENTRE;
    layer->limit = is_signed ? LANE_WEIGHTS_SIGNED : LANE_WEIGHTS;
    layer->geometry = conv3x3_geometry_of(d);
    v->inputs = (uint32_t *)scratch;
    v->list = v->inputs + conv3x3_inputs_words(&layer->geometry, d);
    v->zero = 0 - ((uint32_t)layer->centre << 16) - (uint32_t)layer->centre;
    layer->weights = v->list + conv3x3_list_words(&layer->geometry, d);
    prepare_job(&layer->job, &layer->geometry, d);
    layer->job.inputs = v->inputs;
}

// Packs the inputs of a band, lists its blocks.
static void prepare_band(work_t *v) {
    layer_t *layer = &v->layer;
    conv3x3_clear_zeros(v->inputs, &layer->geometry, v->d);
    crew_run(pack_share, v);
    if (v->d[N_IN] == 1) {
        layer->lists[CREW - 1] = layer->list_ends[CREW - 1] = v->list; // with a single core
        crew_run(list_share, v);
    }
}

// One input channel: the blocks that are not listed see zeros, so their output is 0, winner 0.
static void listed_blocks(layer_t *v, int8_t *y) {
    int32_t words = 0;
    for (int32_t i = 0; i < CREW; i++) {
        words += (int32_t)(v->list_ends[i] - v->lists[i]);
    }
    if (words != 2 * v->geometry.rows * v->geometry.columns) {
        clear_bytes(y, v->geometry.outputs);
        clear_bytes((int8_t *)v->bytes, 4 * words_of(v->geometry.outputs));
    }
    for (int32_t i = 0; i < CREW; i++) {
        v->job.list = v->lists[i];
        v->job.list_end = v->list_ends[i];
        if (v->job.list != v->job.list_end) {
            conv3x3_one_blocks(&v->job);
        }
    }
}

// The outputs of one filter in the band, whole blocks; their sums start from `start`.
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
    v->job.odd = d[N_IN] & 1;
    v->job.walk = lanes[1] <= v->limit ? WALK_PAIRS
        : lanes[0] <= v->limit ? WALK_SINGLES : WALK_EXACT;
    conv3x3_blocks(&v->job);
}

// So many rows of outputs of a filter out of those of whole blocks.
static void cut_out(int8_t *y, int32_t left, const layer_t *v, const int32_t *d) {
    const int8_t *row = (const int8_t *)v->bytes;
    for (; left != 0; left--) {
        for (int32_t x = 0; x < d[W_OUT]; x++) {
            *y++ = row[x];
        }
        row += 2 * v->geometry.columns;
    }
}

// Every cores-th filter, of a band.
static void filters_share(void *job, int32_t core, int32_t cores) {
    const work_t *shared = job;
    const int32_t *d = shared->d;
    layer_t v;
    copy_words(&v, &shared->layer, sizeof(v));
    v.weights += core * conv3x3_filter_words(&v.geometry, d);
    v.bytes = v.weights + 6 * (d[N_IN] + 1);
    v.bytes[words_of(v.geometry.outputs) - 1] = 0; // behind the last winner
    v.job.weights = v.weights + 3 * (d[N_IN] & 1);
    v.job.weights_end = v.bytes - 6 * (~d[N_IN] & 1);
    int32_t outputs = d[H_OUT] * d[W_OUT], argmax_bytes = channel_argmax_bytes(d);
    int32_t is_pooled = d[POOL_H] == 2, is_whole = is_pooled || ((d[H_OUT] | d[W_OUT]) & 1) == 0;
    int32_t above = shared->above * d[W_OUT]; // outputs
    if (!is_pooled) {
        above += above;
    }
    int32_t rows = smaller(2 * v.geometry.rows, d[H_OUT] - 2 * shared->above);
    int8_t *y = shared->y + (d[ROW] + core) * outputs + above;
    uint8_t *argmax = shared->argmax + (d[ROW] + core) * argmax_bytes + (above >> 2);
    const uint8_t *w = shared->w + core * d[N_ROW];
    for (int32_t row = core; row < d[ROWS]; row += cores) {
        int32_t start = sum_start(shared->bias, d[ROW] + row, d);
        filter(&v, is_whole ? y : (int8_t *)v.bytes, w, start, d);
        if (is_pooled) {
            conv3x3_pack_winners(argmax, v.bytes, words_of(v.geometry.outputs));
        } else if (!is_whole) {
            cut_out(y, rows, &v, d);
        }
        argmax += cores * argmax_bytes;
        y += cores * outputs;
        w += cores * d[N_ROW];
    }
}

int32_t conv3x3_forward(int8_t *y, uint8_t *argmax, const int8_t *x, const uint8_t *w,
    const int32_t *bias, int32_t *scratch, const int32_t *d) {
    work_t v;
    v.y = y;
    v.argmax = argmax;
    v.x = x;
    v.w = w;
    v.bias = bias;
    v.d = d;
    prepare(&v, scratch);
    int32_t band = v.layer.geometry.rows, left = conv3x3_rows(d);
    for (v.above = 0; left > 0; left -= band) {
        conv3x3_set_rows(&v.layer.geometry, smaller(left, band), d);
        prepare_band(&v);
        crew_run(filters_share, &v);
        v.above += band;
    }
    return 0;
}
