#include "primes.h"

bool is_prime(unsigned long n) {
    if (n < 2) return false;
    for (unsigned long d = 2; d <= n / d; d++) {
        if (n % d == 0) return false;
    }
    return true;
}
