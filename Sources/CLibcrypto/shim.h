// SHA256_Init and its like work on a context in the caller's own memory, so that a digest allocates nothing; OpenSSL 3
// marks them deprecated in favour of the allocating EVP interface.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
