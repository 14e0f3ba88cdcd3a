#ifndef PRIMES_H
#define PRIMES_H

#include <stdbool.h>

/* Whether n has exactly two divisors. */
bool is_prime(unsigned long n);

#endif
