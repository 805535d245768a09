// Made by parity_unet.py with PyTorch 1.13.0.
#pragma once

inline constexpr double parity_losses[] = {
    1.3412683, 1.22852314, 1.16521513, 1.12221003, 1.07749116,
    1.04813135, 1.02381587, 1.01139176, 1.01304281, 1.02875066,
    1.04347634, 1.04948664, 1.05547822, 1.0522486, 1.04428875,
    1.03568757, 1.02760172, 1.00679159, 0.979600489, 0.957180083,
};
/// In inference, after the last step.
inline constexpr double parity_judged = 0.967381537;
