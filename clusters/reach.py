"""Which addresses nobody may have the console connect to."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address

# Cloud providers' addresses that hand credentials to whoever asks, beside the link-local ones.
METADATA = frozenset(
    ip_address(text)
    for text in ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254")
)
NAT64 = IPv6Network("64:ff9b::/96")
RESERVED = ip_network("240.0.0.0/4")


def forbidden(text: str, *, allow_private: bool) -> bool:
    """Say whether the console must not connect to an address on anybody's behalf."""
    address = plain(ip_address(text))
    if address in METADATA or address.is_link_local or address.is_multicast:
        return True
    if address.is_unspecified or address in RESERVED:
        return True
    return not address.is_global and not allow_private


def plain(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(address, IPv4Address):
        return address
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
