"""Which names, addresses and image references are taken, and what is said to the others."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from django.core.exceptions import ValidationError

from clusters import names
from clusters.images import InvalidReference, matching_registry, parse

DIGEST = "sha256:" + "ab" * 32


@dataclass(frozen=True)
class Address:
    address: str


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        (names.service, "web-1_a"),
        (names.config, "app.conf"),
        (names.secret, "db_password"),
        (names.volume, "data.1"),
        (names.network, "front"),
        (names.registry_address, "registry.example.com:5000/lib"),
        (names.registry_address, "localhost/lib"),
        (names.node_label_key, "zone"),
        (names.node_label_value, "rack 1/a"),
        (names.node_label_value, ""),
        (names.service_label_key, "com.example.team"),
        (names.variable, "JAVA_OPTS"),
        (names.variable, "xpack.security"),
        (names.host_name, "{{.Node.Hostname}}"),
        (names.absolute_path, "/var/lib"),
    ],
)
def test_a_good_name_is_taken_as_it_is(rule: Callable[[str], str], name: str) -> None:
    assert rule(f" {name} ") == name


@pytest.mark.parametrize(
    ("rule", "name", "words"),
    [
        (names.service, "-web", "begins and ends"),
        (names.service, "my.web", "letters, digits, dashes and underscores"),
        (names.service, "w" * 64, "at most 63"),
        (names.service, "medstack-op-1", "console's own"),
        (names.config, "loadbalancer-options", "console's own"),
        (names.secret, "loadbalancer-dns-key", "console's own"),
        (names.config, "a b", "config's name"),
        (names.secret, "", "secret's name"),
        (names.secret, "s" * 58, "at most 57"),
        (names.volume, "x", "at least two"),
        (names.volume, "a/b", "volume's name"),
        (names.volume, "0" * 64, "nameless"),
        (names.network, "ingress", "of its own"),
        (names.registry_address, "http://registry.example.com", "without http"),
        (names.registry_address, "registry.example.com:70000", "between 1 and 65535"),
        (names.registry_address, "registry.example.com/Lib", "capital"),
        (names.registry_address, "registry", "domain or port"),
        (names.registry_address, "", "not a registry's host"),
        (names.node_label_key, "a b", "label's key"),
        (names.node_label_key, "medstack.role", "console's own"),
        (names.node_label_value, "a\x00b", "plain text"),
        (names.service_label_key, "traefik.enable", "console's own"),
        (names.service_label_key, "Traefik.enable", "console's own"),
        (names.variable, "1A", "variable's name"),
        (names.host_name, "-web", "host name"),
        (names.absolute_path, "var/lib", "begins with /"),
        (names.absolute_path, "/var/../etc", "without"),
    ],
)
def test_a_bad_name_is_refused_in_plain_words(
    rule: Callable[[str], str], name: str, words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        rule(name)


def test_addresses_and_paths_have_one_form() -> None:
    assert names.registry_address("https://Registry.Example.com/lib/") == "registry.example.com/lib"
    assert names.registry_address("https://index.docker.io/v1/") == "docker.io"
    assert names.absolute_path("//var/./lib/") == "/var/lib"


@pytest.mark.parametrize(
    ("text", "name", "tag", "digest"),
    [
        ("nginx", "docker.io/library/nginx", "", ""),
        ("nginx:1.27", "docker.io/library/nginx", "1.27", ""),
        ("acme/app", "docker.io/acme/app", "", ""),
        ("docker.io/nginx", "docker.io/library/nginx", "", ""),
        ("index.docker.io/acme/app:1", "docker.io/acme/app", "1", ""),
        ("localhost/app", "localhost/app", "", ""),
        ("registry:5000/app", "registry:5000/app", "", ""),
        (
            f"registry.example.com:5000/lib/app:1.2@{DIGEST}",
            "registry.example.com:5000/lib/app",
            "1.2",
            DIGEST,
        ),
        (f"app@{DIGEST}", "docker.io/library/app", "", DIGEST),
        ("[::1]:5000/app:1", "[::1]:5000/app", "1", ""),
    ],
)
def test_an_image_reference_is_read_as_docker_reads_it(
    text: str, name: str, tag: str, digest: str
) -> None:
    reference = parse(text)

    assert (reference.name, reference.tag, reference.digest) == (name, tag, digest)
    assert parse(reference.familiar()) == reference


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Write the image"),
        ("https://registry.example.com/app", "without https"),
        ("Nginx", "capital"),
        ("nginx:", "After :"),
        ("nginx:a b", "After :"),
        ("nginx@sha256:abc", "digest"),
        ("registry.example.com:99999/app", "between 1 and 65535"),
        ("a//b", "separated by /"),
        ("a..b/c", "not a registry's host"),
        ("-nginx", "small letters"),
        ("a" * 64, "64 characters"),
        ("x" * 300, "at most 255"),
    ],
)
def test_a_bad_image_reference_is_refused_in_plain_words(text: str, words: str) -> None:
    with pytest.raises(InvalidReference, match=words):
        parse(text)


def test_the_familiar_form_leaves_out_what_docker_adds() -> None:
    assert parse("docker.io/library/nginx:1").familiar() == "nginx:1"
    assert parse("docker.io/acme/app").familiar() == "acme/app"
    assert str(parse("registry.example.com/app")) == "registry.example.com/app"


def test_the_registry_with_the_longest_matching_address_is_used() -> None:
    host, library, hub = (
        Address("https://Registry.example.com/"),
        Address("registry.example.com/lib"),
        Address("docker.io"),
    )
    registries = [host, library, hub]

    assert matching_registry(parse("registry.example.com/lib/app:1"), registries) == library
    assert matching_registry(parse("registry.example.com/library/app"), registries) == host
    assert matching_registry(parse("nginx"), registries) == hub
    assert matching_registry(parse("registry.example.com:5000/app"), registries) is None
