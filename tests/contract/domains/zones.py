"""Zones with right and wrong records. Each domain under `.example` is one case."""

KEY = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC5N3lnvvrYgPCRSoqn"
_API = """
spf TXT "v=spf1 ip4:192.0.2.0/24 -all"
tr._domainkey TXT "v=DKIM1; k=rsa; p={key}"
nl._domainkey TXT "v=DKIM1; k=rsa; " "p={key}"
loop CNAME loop2
loop2 CNAME loop
revoked._domainkey TXT "v=DKIM1; p="
no-spf A 192.0.2.1
two-spf TXT "v=spf1 -all"
two-spf TXT "v=spf1 ~all"
"""
_HOSTS = "".join(f"many-mx MX 10 mx{number}\n" for number in range(11))
_MANY = "\n".join(f'many{number} TXT "v=spf1 include:many{number + 1}.provider.example -all"' for number in range(12))

RIGHT = """
@ TXT "v=spf1 mx include:spf.provider.example ~all"
@ TXT "some-verification=abc"
@ MX 10 mx
mx A 192.0.2.25
_dmarc TXT "v=DMARC1; p=reject; adkim=r"
tr._domainkey CNAME tr._domainkey.provider.example.
nl._domainkey CNAME nl._domainkey.provider.example.
"""

ZONES = {
    "provider.example": _API.format(key=KEY) + _HOSTS + _MANY,
    "right.example": RIGHT,
    # The wrong record of each kind.
    "wrong.example": f"""
@ TXT "v=spf1 include:other.provider.example -all"
@ MX 0 .
@ MX 10 mx
_dmarc TXT "v=DMARC1; rua=mailto:a@wrong.example"
tr._domainkey CNAME tr._domainkey.elsewhere.example.
bad._domainkey TXT "v=DKIM1; p=not*base64"
old._domainkey TXT "v=DKIM1; p="
alien._domainkey TXT "v=DKIM2; p=AAAA"
empty._domainkey TXT "some text"
two._domainkey TXT "v=DKIM1; p={KEY}"
two._domainkey TXT "v=DKIM1; p={KEY}AA"
""",
    "elsewhere.example": 'tr._domainkey TXT "v=DKIM1; p="\nescape TXT "red \\027[31m\\007"\n',
    "missing.example": "@ A 192.0.2.1\n",
    # More than a datagram holds, so that it comes by TCP.
    "oversized.example": RIGHT + "\n".join(f'@ TXT "filler-{number}={"x" * 200}"' for number in range(30)),
    # Each name leads over several others, also in another zone.
    "chained.example": RIGHT.replace(
        "tr._domainkey CNAME tr._domainkey.provider.example.",
        "tr._domainkey CNAME one\none CNAME two.hop.example.\n",
    ),
    "hop.example": "two CNAME three\nthree CNAME tr._domainkey.provider.example.\n",
    # The DKIM name leads to one that is not there.
    "dangling.example": RIGHT.replace("tr._domainkey.provider.example.", "gone._domainkey.provider.example."),
    "looping.example": RIGHT.replace(
        "tr._domainkey CNAME tr._domainkey.provider.example.", "tr._domainkey CNAME tr._domainkey"
    ),
    "slow.example": RIGHT,
    "null-mx.example": RIGHT.replace("@ MX 10 mx", "@ MX 0 ."),
    "strict.example": '_dmarc TXT "v=DMARC1; p=reject; adkim=s"\n',
    "dmarc-twice.example": '_dmarc TXT "v=DMARC1; p=none"\n_dmarc TXT "v=DMARC1; p=reject"\n',
    "dmarc-align.example": '_dmarc TXT "v=DMARC1; p=none; adkim=x"\n',
    "dmarc-policy.example": '_dmarc TXT "v=DMARC1; p=refuse"\n',
    **{
        f"spf-{name}.example": "".join(f'@ TXT "{record}"\n' for record in records)
        for name, records in {
            "without": ["v=spf1 ip4:198.51.100.7 ~all"],
            "behind-all": ["v=spf1 -all include:spf.provider.example"],
            "negative": ["v=spf1 -include:spf.provider.example ~all"],
            "twice": ["v=spf1 include:spf.provider.example ~all", "v=spf1 -all"],
            "costly": ["v=spf1 include:spf.provider.example include:many0.provider.example ~all"],
            "loop": ["v=spf1 include:spf.provider.example include:spf-loop.example ~all"],
            "broken": ["v=spf1 inklude:spf.provider.example ~all"],
            "nested": ["v=spf1 include:spf-redirect.example ~all"],
            "redirect": ["v=spf1 redirect=spf.provider.example"],
            "upper-case": ["V=SPF1 Include:SPF.Provider.Example. ~ALL"],
            "several-inside": ["v=spf1 include:two-spf.provider.example ~all"],
            "redirect-twice": ["v=spf1 redirect=spf.provider.example redirect=spf.provider.example"],
            "redirect-behind-all": ["v=spf1 -all redirect=spf.provider.example"],
            "redirect-to-nothing": ["v=spf1 include:spf.provider.example redirect=no-spf.provider.example"],
            "macro": [
                "v=spf1 include:%{ir}.provider.example include:spf.provider.example exists:%{i}.provider.example ~all"
            ],
            "no-network": ["v=spf1 ip4:192.0.2.300 include:spf.provider.example ~all"],
            "netmask": ["v=spf1 ip4:192.0.2.0/255.255.255.0 include:spf.provider.example ~all"],
            "other-family": ["v=spf1 ip6:192.0.2.1 include:spf.provider.example ~all"],
            "networks": ["v=spf1 ip4:192.0.2.1 ip6:2001:db8::/32 a//64 mx/24//64 include:spf.provider.example ~all"],
            "two-void": ["v=spf1 a:gone1.provider.example mx:gone2.provider.example include:spf.provider.example ~all"],
            "three-void": [
                "v=spf1 a:gone1.provider.example mx:gone2.provider.example exists:gone3.provider.example include:spf.provider.example ~all"
            ],
            "void-behind-all": [
                "v=spf1 include:spf.provider.example ~all a:gone1.provider.example a:gone2.provider.example a:gone3.provider.example"
            ],
            "void-unknown": [
                "v=spf1 a:a.lame.example a:b.lame.example a:c.lame.example include:spf.provider.example ~all"
            ],
            "many-mx": ["v=spf1 mx:many-mx.provider.example include:spf.provider.example ~all"],
        }.items()
    },
    # One record in several strings, divided in the middle of a word (RFC 7208 §3.3).
    "spf-strings.example": '@ TXT "v=spf1 inc" "lude:spf.provi" "der.example ~a" "ll"\n',
    **{
        f"dmarc-{name}.example": f'_dmarc TXT "v=DMARC1; p=none; {tags}"\n'
        for name, tags in {
            "percent": "pct=101",
            "report": "rua=dmarc@example.com",
            "reports": "rua=mailto:a@example.com, mailto:b@example.com!10m; ruf=mailto:c@example.com; pct=50; fo=1",
        }.items()
    },
    "lame.example": "",
    "half-lame.example": RIGHT.replace("include:spf.provider.example", "include:spf.lame.example"),
}
