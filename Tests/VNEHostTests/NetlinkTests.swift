import Glibc
import PolicyModel
import Testing

@testable import VNEHost

/// Bytes from hexadecimal; blanks and line ends are for the eye.
private func bytes(_ hex: String) -> [UInt8] {
    let digits = hex.utf8.filter { $0 != 32 && $0 != 10 }
    return stride(from: 0, to: digits.count - 1, by: 2).compactMap {
        UInt8(String(decoding: digits[$0...$0 + 1], as: UTF8.self), radix: 16)
    }
}

/// Answers requests from a script, and keeps what was sent.
private final class ScriptedSocket: NetlinkSocket {
    var sent: [[UInt8]] = []
    var answers: [[UInt8]]

    init(_ answers: [[UInt8]]) {
        self.answers = answers
    }

    func send(_ datagram: [UInt8]) {
        sent.append(datagram)
    }

    func receive() throws(HostError) -> [UInt8] {
        guard !answers.isEmpty else { throw HostError(.failed, "receive", "nothing") }
        return answers.removeFirst()
    }
}

/// Requests byte for byte, as a little-endian host sends them.
@Suite struct NetlinkRequestTests {
    @Test func `asking for an interface by name`() {
        #expect(
            Rtnetlink.linkRequest(named: "vne0").bytes(sequence: 1)
                == bytes(
                    """
                    2c000000 1200 0500 01000000 00000000
                    00 00 0000 00000000 00000000 00000000
                    0900 0300 766e6530 00 000000
                    """))
    }

    @Test func `making a dummy interface that is up`() {
        // nlmsghdr (RTM_NEWLINK, REQUEST|ACK|EXCL|CREATE), ifinfomsg (IFF_UP in flags and change), IFLA_IFNAME with its
        // padding, IFLA_LINKINFO that holds IFLA_INFO_KIND.
        #expect(
            Rtnetlink.addDummyRequest(named: "vne0").bytes(sequence: 7)
                == bytes(
                    """
                    3c000000 1000 0506 07000000 00000000
                    00 00 0000 00000000 01000000 01000000
                    0900 0300 766e6530 00 000000
                    1000 1200 0900 0100 64756d6d79 000000
                    """))
    }

    @Test func `removing an interface by its index`() {
        #expect(
            Rtnetlink.removeLinkRequest(5).bytes(sequence: 2)
                == bytes("20000000 1100 0500 02000000 00000000  00 00 0000 05000000 00000000 00000000"))
    }

    @Test func `bringing an interface up`() {
        #expect(
            Rtnetlink.bringUpRequest(1).bytes(sequence: 2)
                == bytes("20000000 1000 0500 02000000 00000000  00 00 0000 01000000 01000000 01000000"))
    }

    @Test func `a route to a single address, in place of the one that is there, and one that drops what comes`() {
        // nlmsghdr (RTM_NEWROUTE, REQUEST|ACK|REPLACE|CREATE), rtmsg (AF_INET, /32, table main, protocol 188, RTN_UNICAST),
        // RTA_DST, RTA_GATEWAY, RTA_OIF.
        let address = IPAddress(ipv4: 0x0a0a_02c8)
        #expect(
            Rtnetlink.singleRouteRequest(to: address, (IPAddress(ipv4: 0xa9fe_0000), 3), protocol: 188)
                .bytes(sequence: 5)
                == bytes(
                    """
                    34000000 1800 0505 05000000 00000000
                    02 20 00 00 fe bc 00 01 00000000
                    0800 0100 0a0a02c8
                    0800 0500 a9fe0000
                    0800 0400 03000000
                    """))
        // RTN_BLACKHOLE; and a route without a gateway has the scope of its link.
        #expect(
            Rtnetlink.singleRouteRequest(to: address, nil, protocol: 188).bytes(sequence: 6)
                == bytes(
                    """
                    24000000 1800 0505 06000000 00000000
                    02 20 00 00 fe bc 00 06 00000000
                    0800 0100 0a0a02c8
                    """))
        #expect(
            Rtnetlink.singleRouteRequest(to: address, (nil, 1), protocol: 188).bytes(sequence: 7)
                == bytes(
                    """
                    2c000000 1800 0505 07000000 00000000
                    02 20 00 00 fe bc fd 01 00000000
                    0800 0100 0a0a02c8
                    0800 0400 01000000
                    """))
    }

    @Test func `adding an IPv4 address: link scope, never preferred, labelled`() {
        // nlmsghdr (RTM_NEWADDR), ifaddrmsg (AF_INET, /32, RT_SCOPE_LINK, index 1), IFA_LOCAL, IFA_ADDRESS, IFA_LABEL
        // "lo:vne0", IFA_CACHEINFO (preferred 0, valid forever).
        #expect(
            Rtnetlink.addAddressRequest(IPAddress(ipv4: 0x0a0a_0201), to: 1, label: "lo:vne0").bytes(sequence: 3)
                == bytes(
                    """
                    48000000 1400 0506 03000000 00000000
                    02 20 00 fd 01000000
                    0800 0200 0a0a0201
                    0800 0100 0a0a0201
                    0c00 0300 6c6f3a766e653000
                    1400 0600 00000000 ffffffff 00000000 00000000
                    """))
    }

    @Test func `adding an IPv6 address: no duplicate address detection, no other route, no label`() {
        // nlmsghdr, ifaddrmsg (AF_INET6, /128, RT_SCOPE_UNIVERSE, index 1), IFA_LOCAL, IFA_ADDRESS, IFA_FLAGS
        // (IFA_F_NODAD, IFA_F_NOPREFIXROUTE), IFA_CACHEINFO.
        let address = IPAddress(high: 0xfd56_4e45_0102_0304, low: 0x0a0a_0201)
        #expect(
            Rtnetlink.addAddressRequest(address, to: 1, label: "lo:vne0").bytes(sequence: 3)
                == bytes(
                    """
                    5c000000 1400 0506 03000000 00000000
                    0a 80 00 00 01000000
                    1400 0200 fd564e45 01020304 00000000 0a0a0201
                    1400 0100 fd564e45 01020304 00000000 0a0a0201
                    0800 0800 02020000
                    1400 0600 00000000 ffffffff 00000000 00000000
                    """))
    }

    @Test func `removing an IPv4 address`() {
        #expect(
            Rtnetlink.removeAddressRequest(IPAddress(ipv4: 0x0a0a_0201), from: 1).bytes(sequence: 4)
                == bytes(
                    """
                    28000000 1500 0500 04000000 00000000
                    02 20 00 00 01000000
                    0800 0200 0a0a0201
                    0800 0100 0a0a0201
                    """))
    }

    @Test func `removing an IPv6 address`() {
        #expect(
            Rtnetlink.removeAddressRequest(IPAddress(high: 0xfd00_0000_0000_0000, low: 1), from: 1).bytes(sequence: 4)
                == bytes(
                    """
                    40000000 1500 0500 04000000 00000000
                    0a 80 00 00 01000000
                    1400 0200 fd000000 00000000 00000000 00000001
                    1400 0100 fd000000 00000000 00000000 00000001
                    """))
    }

    @Test func `listing addresses, those of every family at once`() {
        #expect(
            Rtnetlink.addressesRequest().bytes(sequence: 1)
                == bytes("18000000 1600 0103 01000000 00000000  00 00 00 00 00000000"))
    }

    @Test func `listing anycast addresses`() {
        #expect(
            Rtnetlink.anycastAddressesRequest().bytes(sequence: 1)
                == bytes("18000000 3e00 0103 01000000 00000000  0a 00 00 00 00000000"))
    }

    @Test func `asking for the route to an address`() {
        // nlmsghdr (RTM_GETROUTE), rtmsg (AF_INET6, /128, RTM_F_FIB_MATCH), RTA_DST.
        #expect(
            Rtnetlink.routeRequest(to: IPAddress(high: 0xfd00_0000_0000_0000, low: 1)).bytes(sequence: 1)
                == bytes(
                    """
                    30000000 1a00 0500 01000000 00000000
                    0a 80 00 00 00 00 00 00 00200000
                    1400 0100 fd000000 00000000 00000000 00000001
                    """))
    }

    @Test func `listing sockets in every state`() {
        #expect(
            SocketDiagnostics.dumpRequest(family: AF_INET, .udp).bytes(sequence: 1)
                == bytes("48000000 1400 0103 01000000 00000000  02 11 00 00 ffffffff")
                + [UInt8](repeating: 0, count: 48))
    }

    @Test func `closing a socket: ports and addresses in network order, the cookie's lower half first`() {
        let socket = ObservedSocket(
            family: 2, transport: .tcp, cookie: 0x0102_0304_0506_0708, state: 1, local: IPAddress("10.0.0.1"),
            localPort: 80, remote: IPAddress("10.0.0.2"), remotePort: 0x1234, cgroupID: 0, inode: 0, interface: 3)
        #expect(
            SocketDiagnostics.destroyRequest(
                family: 2, .tcp, identity: SocketDiagnostics.identity(of: socket)
            ).bytes(sequence: 9)
                == bytes(
                    """
                    48000000 1500 0500 09000000 00000000
                    02 06 00 00 ffffffff
                    0050 1234
                    0a000001 00000000 00000000 00000000
                    0a000002 00000000 00000000 00000000
                    03000000 08070605 04030201
                    """))
    }

    @Test(arguments: [
        ("fd00::1", "fd000000 00000000 00000000 00000001"), ("::", "00000000 00000000 00000000 00000000"),
        ("10.0.0.1", "00000000 00000000 0000ffff 0a000001"), ("0.0.0.0", "00000000 00000000 0000ffff 00000000"),
    ])
    func `closing an IPv6 socket: an IPv4 address in its mapped form, none as zeros`(
        local: String, field: String
    ) {
        let socket = ObservedSocket(
            family: 10, transport: .udp, cookie: 0, state: 7, local: IPAddress(local), localPort: 80,
            remote: nil, remotePort: 0, cgroupID: 0, inode: 0, interface: 0)
        #expect(
            SocketDiagnostics.identity(of: socket)
                == bytes("0050 0000 \(field)") + [UInt8](repeating: 0, count: 16 + 12))
    }
}

@Suite struct NetlinkAnswerTests {
    @Test func `an error that is no errno is an error`() throws {
        // nlmsghdr (NLMSG_ERROR), and the least number that four bytes have.
        let session = NetlinkSession(ScriptedSocket([bytes("14000000 0200 0000 01000000 00000000 00000080")]))
        #expect(try session.exchange(Rtnetlink.addressesRequest()).code == .max)
    }

    @Test func `an interface is read with its kind`() throws {
        let reply = try #require(
            try NetlinkReply.split(
                bytes(
                    """
                    3c000000 1000 0000 01000000 00000000
                    00 00 0100 04000000 c3000000 00000000
                    0900 0300 766e6530 00 000000
                    1000 1280 0a00 0100 64756d6d7900 0000
                    """)
            ).first)
        #expect(NetworkLink(reply) == NetworkLink(index: 4, name: "vne0", isUp: true, kind: "dummy"))
    }

    @Test func `an address is read with its broadcast and label`() throws {
        let reply = try #require(
            try NetlinkReply.split(
                bytes(
                    """
                    3c000000 1400 0200 01000000 00000000
                    02 18 80 00 02000000
                    0800 0100 c0000202
                    0800 0200 c0000202
                    0800 0400 c00002ff
                    0900 0300 65746830 00 000000
                    """)
            ).first)
        #expect(
            InterfaceAddress(reply)
                == InterfaceAddress(
                    address: IPAddress(ipv4: 0xc000_0202),
                    prefix: IPPrefix(holding: IPAddress(ipv4: 0xc000_0200), length: 24), scope: 0, link: 2,
                    broadcast: IPAddress(ipv4: 0xc000_02ff), label: "eth0"))
    }

    @Test func `an IPv6 address on a link with a peer is the local one`() throws {
        let reply = try #require(
            try NetlinkReply.split(
                bytes(
                    """
                    40000000 1400 0200 01000000 00000000
                    0a 40 80 00 02000000
                    1400 0100 fd000000 00000000 00000000 00000002
                    1400 0200 fd000000 00000000 00000000 00000001
                    """)
            ).first)
        #expect(
            InterfaceAddress(reply)
                == InterfaceAddress(
                    address: IPAddress(high: 0xfd00_0000_0000_0000, low: 1),
                    prefix: IPPrefix(holding: IPAddress(high: 0xfd00_0000_0000_0000, low: 0), length: 64), scope: 0,
                    link: 2, broadcast: nil, label: nil))
    }

    @Test func `an address of another family, cut short or IPv4-mapped is left out`() throws {
        for message in [
            // AF_PHONET; AF_INET with a prefix of 33 bits; without an address; ::ffff:10.0.0.1/64 as IPv6.
            "20000000 1400 0200 01000000 00000000 23 00 00 00 02000000 0500 0200 64 000000",
            "20000000 1400 0200 01000000 00000000 02 21 00 00 02000000 0800 0200 0a000001",
            "18000000 1400 0200 01000000 00000000 0a 80 00 00 02000000",
            """
            2c000000 1400 0200 01000000 00000000 0a 40 00 00 02000000
            1400 0100 00000000 00000000 0000ffff 0a000001
            """,
        ] {
            let reply = try #require(try NetlinkReply.split(bytes(message)).first)
            #expect(InterfaceAddress(reply) == nil, "\(message)")
        }
    }

    @Test func `an IPv4-mapped socket is read as its IPv4 one, with its cgroup`() throws {
        let mapped = "00000000 00000000 0000ffff"
        let reply = try #require(
            try NetlinkReply.split(
                bytes(
                    """
                    64000000 1400 0200 01000000 00000000
                    0a 01 00 00 0050 1234
                    \(mapped) 0a000001
                    \(mapped) 0a000002
                    03000000 08070605 04030201
                    00000000 00000000 00000000 00000000 2a000000
                    0c00 1500 3900000000000000
                    """)
            ).first)
        let socket = try #require(ObservedSocket(reply, .tcp))
        #expect(socket.local == IPAddress("10.0.0.1") && socket.localPort == 80)
        #expect(socket.remote == IPAddress("10.0.0.2") && socket.remotePort == 0x1234)
        #expect(socket.cgroupID == 0x39 && socket.inode == 42 && socket.interface == 3)
        #expect(socket.cookie == 0x0102_0304_0506_0708)
        #expect(socket.summary == "tcp 10.0.0.1:80 -> 10.0.0.2:4660")
    }

    @Test func `a native IPv6 socket is read with its addresses, and no peer is none`() throws {
        let reply = try #require(
            try NetlinkReply.split(
                bytes(
                    """
                    64000000 1400 0200 01000000 00000000
                    0a 0a 00 00 0050 0000
                    fd000000 00000000 00000000 00000001
                    00000000 00000000 00000000 00000000
                    00000000 08070605 04030201
                    00000000 00000000 00000000 00000000 2a000000
                    0c00 1500 3900000000000000
                    """)
            ).first)
        let socket = try #require(ObservedSocket(reply, .tcp))
        #expect(socket.local == IPAddress("fd00::1") && socket.remote == nil)
        #expect(socket.summary == "tcp [fd00::1]:80 listening")
        #expect(SocketDiagnostics.identity(of: socket) == Array(reply.payload.dropFirst(4).prefix(48)))
    }

    @Test func `a refusal comes with the kernel's own sentence`() throws {
        // NLMSG_ERROR, CAPPED|ACK_TLVS: -EEXIST, the request's header, NLMSGERR_ATTR_MSG "no".
        let socket = ScriptedSocket([
            bytes(
                """
                2c000000 0200 0003 01000000 00000000
                efffffff 20000000 1100 0500 01000000 00000000
                0700 0100 6e6f00 00
                """)
        ])
        let answer = try NetlinkSession(socket).exchange(Rtnetlink.removeLinkRequest(5))
        #expect(answer.code == EEXIST)
        #expect(answer.text == "no")
    }

    @Test(
        arguments: [
            ("feffffff", "00000000", nil), ("8cffffff", nil, nil),
            ("a1ffffff", nil, "the kernel was built without CONFIG_INET_DIAG_DESTROY"),
            ("feffffff", "feffffff", "the kernel has no tcp_diag (CONFIG_INET_TCP_DIAG)"),
        ] as [(String, String?, String?)])
    func `whether sockets can be closed is asked of one that is not there`(
        destroy: String, list: String?, obstacle: String?
    ) throws {
        var answers = [bytes("24000000 0200 0000 01000000 00000000 \(destroy) 58000000 1500 0500 01000000 00000000")]
        if let list {
            answers.append(bytes("24000000 0200 0000 02000000 00000000 \(list) 58000000 1400 0103 02000000 00000000"))
        }
        let socket = ScriptedSocket(answers)
        #expect(try SocketDiagnostics(socket).obstacleToClosing() == obstacle)
        // SOCK_DESTROY of TCP over IPv4, without addresses or ports.
        let first = try #require(socket.sent.first)
        #expect(Array(first[4..<6]) == bytes("1500"))
        #expect(Array(first[16..<60]) == bytes("02 06 0000 ffffffff") + [UInt8](repeating: 0, count: 36))
    }

    @Test func `answers to an earlier request are passed over`() throws {
        let socket = ScriptedSocket([
            bytes("24000000 0200 0000 63000000 00000000  ffffffff 20000000 1100 0500 63000000 00000000"),
            bytes("24000000 0200 0000 01000000 00000000  00000000 20000000 1100 0500 01000000 00000000"),
        ])
        #expect(try NetlinkSession(socket).exchange(Rtnetlink.removeLinkRequest(5)).code == 0)
    }

    @Test func `a dump that a change interrupted is begun anew`() throws {
        let socket = ScriptedSocket([
            bytes("14000000 0300 1200 01000000 00000000 00000000"),
            bytes("14000000 0300 0200 02000000 00000000 00000000"),
        ])
        #expect(try NetlinkSession(socket).exchange(Rtnetlink.addressesRequest()).code == 0)
        #expect(socket.sent.count == 2)
    }

    @Test func `a dump that never settles is an error`() {
        let socket = ScriptedSocket(
            (1...8).map { bytes("14000000 0300 1200 0\($0)000000 00000000 00000000") })
        #expect(throws: HostError.self) {
            try NetlinkSession(socket).exchange(Rtnetlink.addressesRequest())
        }
    }

    @Test func `a length that leads out of the datagram is an error`() {
        #expect(throws: HostError.self) {
            try NetlinkReply.split(bytes("ff000000 0300 0200 01000000 00000000"))
        }
        #expect(throws: HostError.self) { try NetlinkReply.split([1, 2, 3]) }
    }

    @Test func `an attribute that is cut short is left out`() {
        #expect(NetlinkReply.attributes(bytes("0800 0100 0a0b0c0d 0800 0200 0a0b")[...]).keys.sorted() == [1])
        #expect(NetlinkReply.attributes(bytes("0300 0100")[...]).isEmpty)
    }
}
