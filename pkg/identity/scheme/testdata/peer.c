/* Hashes one password N times and prints the nanoseconds of CPU that each took.
   Usage: peer N SETTING   with -DSODIUM: peer N (Argon2id, 19 MiB, 2 passes) */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char password[] = "correct horse";

#ifdef SODIUM
/* libsodium's headers may be missing where its library is there for Dovecot. */
int sodium_init(void);
int crypto_pwhash(unsigned char *, unsigned long long, const char *, unsigned long long,
                  const unsigned char *, unsigned long long, size_t, int);

static int once(const char *unused) {
	unsigned char out[32];
	(void)unused;
	return crypto_pwhash(out, sizeof out, password, strlen(password),
	                     (const unsigned char *)"saltsaltsaltsalt", 2, 19456 * 1024, 2);
}
#else
#include <crypt.h>

static struct crypt_data data;

static int sodium_init(void) { return 0; }

static int once(const char *setting) {
	const char *hash = crypt_r(password, setting, &data);
	return hash == NULL || hash[0] == '*';
}
#endif

int main(int argc, char **argv) {
	struct timespec from, to;
	long n = argc > 1 ? atol(argv[1]) : 0;
	if (n < 1 || sodium_init() < 0)
		return 2;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	for (long i = 0; i < n; i++)
		if (once(argc > 2 ? argv[2] : NULL))
			return 1;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	printf("%.0f\n", ((to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec)) / n);
	return 0;
}
