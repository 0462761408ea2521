// Ordered sums of products in binary32, many at once, and conversions: compiled.py says what they are for.
//
// A vector holds 16 rows of one column of the outputs, so that a chain stays in its lane and its order is the loop's.
// Compiled with -ffp-contract=off: each product and each sum is rounded on its own.

#include <cstdint>
#include <cstring>
#include <vector>

namespace {

typedef float Vector __attribute__((vector_size(64)));
constexpr long LANES = 16, ROWS = 2 * LANES, COLUMNS = 4;

float of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

// binary16 or bfloat16 → binary32, exactly; no operation sees a subnormal binary32, which would be slow.
template <bool bf16>
float widen(uint16_t x)
{
    if (bf16)
        return of_bits(uint32_t(x) << 16);
    uint32_t sign = uint32_t(x & 0x8000) << 16, magnitude = uint32_t(x & 0x7fff) << 13;
    uint32_t infinite = magnitude >= 31u << 23 ? 112u << 23 : 0;
    float normal = of_bits(magnitude + (112u << 23) + infinite);
    float subnormal = of_bits(magnitude + (113u << 23)) - of_bits(113u << 23);
    float value = magnitude < 1u << 23 ? subnormal : normal;
    return of_bits(bits_of(value) | sign);
}

// binary32 → binary16 or bfloat16: to nearest, ties to even, overflow to inf, NaN canonical.
template <bool bf16>
uint16_t narrow(float x)
{
    constexpr uint32_t places = bf16 ? 16 : 13, rebias = bf16 ? 0 : 112u << 23, smallest = rebias + (1u << 23);
    constexpr uint16_t infinity = bf16 ? 0x7f80 : 0x7c00, nan = bf16 ? 0x7fc0 : 0x7e00;
    uint32_t bits = bits_of(x), magnitude = bits & 0x7fffffff, sign = bits >> 16 & 0x8000;
    uint32_t rounded = (magnitude + (1u << (places - 1)) - 1 + (magnitude >> places & 1) - rebias) >> places;
    if (!bf16) {
        // A sum with 2^-1 has the unit of a subnormal binary16.
        uint32_t subnormal = bits_of(of_bits(magnitude < smallest ? magnitude : 0) + 0.5f) - (126u << 23);
        rounded = magnitude < smallest ? subnormal : rounded;
    }
    rounded = rounded < infinity ? rounded : infinity;
    return magnitude > 0x7f800000 ? nan : uint16_t(rounded | sign);
}

float canonical(float x)
{
    return x == x ? x : of_bits(0x7fc00000);
}

// The chains of `count` columns from `values` and `places` on, for the 32 rows of `block`, (k, 32).
template <long count, bool sparse>
void chains(const float *block, const float *values, const int32_t *places, long steps, long n,
            Vector (&low)[COLUMNS], Vector (&high)[COLUMNS])
{
    Vector a[count], b[count];
    for (long c = 0; c < count; c++)
        a[c] = low[c], b[c] = high[c];
    for (long step = 0; step < steps; step++, values += n) {
        for (long c = 0; c < count; c++) {
            const Vector *rows = (const Vector *)(block + (sparse ? places[c] : step) * ROWS);
            a[c] += rows[0] * values[c];
            b[c] += rows[1] * values[c];
        }
        if (sparse)
            places += n;
    }
    for (long c = 0; c < count; c++)
        low[c] = a[c], high[c] = b[c];
}

template <bool sparse>
void columns_of(long count, const float *block, const float *values, const int32_t *places, long steps, long n,
                Vector (&low)[COLUMNS], Vector (&high)[COLUMNS])
{
    switch (count) {
    case 1: return chains<1, sparse>(block, values, places, steps, n, low, high);
    case 2: return chains<2, sparse>(block, values, places, steps, n, low, high);
    case 3: return chains<3, sparse>(block, values, places, steps, n, low, high);
    default: return chains<4, sparse>(block, values, places, steps, n, low, high);
    }
}

// 32 rows of `a` from `a` on, of which `rows` exist, as (k, 32).
template <bool bf16>
void pack(float *block, const uint16_t *a, long rows, long k, bool transposed, long m, std::vector<float> &line)
{
    if (rows < ROWS)
        memset(block, 0, k * ROWS * sizeof *block);
    if (transposed) {
        for (long column = 0; column < k; column++)
            for (long row = 0; row < rows; row++)
                block[column * ROWS + row] = widen<bf16>(a[column * m + row]);
        return;
    }
    for (long row = 0; row < rows; row++) {
        for (long column = 0; column < k; column++)
            line[column] = widen<bf16>(a[row * k + column]);
        for (long column = 0; column < k; column++)
            block[column * ROWS + row] = line[column];
    }
}

template <bool bf16>
void products(const uint16_t *a, bool transposed, const uint16_t *b, const int32_t *places, float *y, long batch,
              long m, long k, long n, long steps)
{
    std::vector<Vector> space(k * 2);
    std::vector<float> line(k), values(steps * n);
    float *block = (float *)space.data();
    for (; batch > 0; batch--, a += m * k, b += steps * n, y += m * n) {
        for (long i = 0; i < steps * n; i++)
            values[i] = widen<bf16>(b[i]);
        for (long top = 0; top < m; top += ROWS) {
            long rows = m - top < ROWS ? m - top : ROWS;
            pack<bf16>(block, a + top * (transposed ? 1 : k), rows, k, transposed, m, line);
            for (long left = 0; left < n; left += COLUMNS) {
                long columns = n - left < COLUMNS ? n - left : COLUMNS;
                Vector low[COLUMNS] = {}, high[COLUMNS] = {};
                for (long row = 0; row < rows; row++)
                    for (long c = 0; c < columns; c++)
                        (row < LANES ? low : high)[c][row % LANES] = y[(top + row) * n + left + c];
                if (places)
                    columns_of<true>(columns, block, &values[left], places + left, steps, n, low, high);
                else
                    columns_of<false>(columns, block, &values[left], nullptr, steps, n, low, high);
                for (long row = 0; row < rows; row++)
                    for (long c = 0; c < columns; c++)
                        y[(top + row) * n + left + c] = canonical((row < LANES ? low : high)[c][row % LANES]);
            }
        }
    }
}

} // namespace

// y (m, n) += the chains of a (m, k) over `steps` rows of b (steps, n), whose rows are a's columns places (steps, n),
// or 0, 1, 2 … where that is null. With `transposed`, a lies in memory as (k, m). `batch` such products, one after the
// other in memory.
extern "C" __attribute__((visibility("default"))) void sat_chains(
    const uint16_t *a, int transposed, const uint16_t *b, const int32_t *places, float *y, long batch, long m,
    long k, long n, long steps, int bf16)
{
    if (bf16)
        products<true>(a, transposed, b, places, y, batch, m, k, n, steps);
    else
        products<false>(a, transposed, b, places, y, batch, m, k, n, steps);
}

extern "C" __attribute__((visibility("default"))) void sat_narrow(const float *x, uint16_t *y, long count, int bf16)
{
    for (long i = 0; i < count; i++)
        y[i] = bf16 ? narrow<true>(x[i]) : narrow<false>(x[i]);
}

extern "C" __attribute__((visibility("default"))) void sat_widen(const uint16_t *x, float *y, long count, int bf16)
{
    for (long i = 0; i < count; i++)
        y[i] = canonical(bf16 ? widen<true>(x[i]) : widen<false>(x[i]));
}
