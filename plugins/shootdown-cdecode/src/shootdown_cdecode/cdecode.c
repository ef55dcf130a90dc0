#include "cdecode.h"

uint64_t cdecode_hash(uint64_t vpn)
{
	vpn ^= vpn >> 33;
	vpn *= UINT64_C(0xff51afd7ed558ccd);
	vpn ^= vpn >> 33;
	return vpn;
}

uint64_t cdecode_find(uint64_t group, uint64_t tag)
{
	const uint64_t *entry = (const uint64_t *)(uintptr_t)group;

	for (int slot = 0; slot < 8; slot++, entry += 2)
		if (entry[0] == tag)
			return (uint64_t)(uintptr_t)entry;
	return 0;
}
