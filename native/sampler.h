// One token from a row of logits: the same choice as engine/sampling.py:draw_in_numpy.
#pragma once
#include <cstddef>

namespace tritcoder {

// Of the `top_k` likeliest (0: all), those with at least `min_p` of the best one's probability, and of these the fewest
// whose probabilities reach `top_p`, stay; `point` (0 to 1) is a place on the line of them, likeliest first, and of equally
// likely ones the first. n > 0, temperature > 0; no logit is NaN or +infinity, and one is above -infinity.
int sample(const float* logits, size_t n, double temperature, int top_k, double min_p, double top_p, double point);

}  // namespace tritcoder
