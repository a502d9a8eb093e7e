import OverlayModel
import PolicyModel
import Testing

@testable import OverlayKeys

@Suite struct RosterTests {
    private let topology: Topology
    private let text = Array(Sample.topologyText.utf8)
    private var keyset: Keyset
    private var generator = CountingGenerator(state: 5)

    init() throws {
        var generator = CountingGenerator(state: 1)
        topology = try Sample.topology()
        keyset = try Keyset(network: "acme", using: &generator)
        try keyset.found("london", Sample.key("l"), in: topology, at: Sample.start)
    }

    private func after(_ seconds: Int64) -> Timestamp { Timestamp(seconds: Sample.start.seconds + seconds) }

    private mutating func issue(at now: Timestamp? = nil) throws -> Roster {
        try keyset.issue(topology, text: text, by: "london", at: now ?? Sample.start)
    }

    private mutating func invite(
        _ node: String, hours: Int = 24, replacing: Bool = false, at now: Timestamp? = nil
    ) throws -> Invitation {
        try keyset.invite(
            node, in: topology, at: now ?? Sample.start, hours: hours, replacing: replacing,
            by: [Invitation.Gateway(node: "london", key: Sample.key("l"))], using: &generator)
    }

    private func refusal(_ work: () throws -> Any) -> String? {
        #expect(throws: KeysError.self) { _ = try work() }?.description
    }

    // MARK: Rosters

    @Test mutating func `a roster says the topology and the keys of those that take part, and nobody else's`() throws {
        _ = try invite("web")
        let roster = try Roster(parsing: Array(issue().text.utf8))
        #expect(roster.network == "acme" && roster.issuer == "london" && "\(roster.version)" == "1.1")
        #expect(roster.members.map(\.node) == ["london", "web"] && roster.members.map(\.isInvited) == [false, true])
        #expect(roster.topology == text && roster.authority == keyset.authority)
        #expect(roster.member("paris", at: Sample.start) == nil)
    }

    @Test mutating func `a roster of format 1 is read, and the same facts are the same bytes`() throws {
        _ = try invite("web")
        try Sample.expect(issue().text, at: "acme.roster")
        #expect(try Roster(parsing: Sample.bytes("acme.roster")).members.count == 2)
    }

    @Test mutating func `every byte of a roster that is changed, left out or put in is noticed`() throws {
        let bytes = Array(try issue().text.utf8)
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= 1
            #expect(throws: KeysError.self) { try Roster(parsing: changed) }
            #expect(throws: KeysError.self) { try Roster(parsing: Array(bytes[..<index]) + bytes[(index + 1)...]) }
        }
        #expect(throws: KeysError.self) { try Roster(parsing: bytes + [0x0a]) }
    }

    @Test mutating func `each roster counts more than the one before, and a new term more than any of the old one`()
        throws
    {
        let first = try issue()
        let second = try issue()
        try keyset.takeOver("paris", Sample.key("p"), in: topology, at: Sample.start)
        let third = try keyset.issue(topology, text: text, by: "paris", at: Sample.start)
        #expect(first.version < second.version && second.version < third.version)
        #expect(RosterVersion(term: 1, revision: 900) < third.version && "\(third.version)" == "2.3")
    }

    @Test mutating func `a credential counts up to its end, and is renewed before`() throws {
        let now = after(Keyset.lifetime - Keyset.renewal - 1)
        #expect(try !keyset.renew(in: topology, at: now))
        let due = after(Keyset.lifetime - Keyset.renewal)
        #expect(try keyset.renew(in: topology, at: due))
        let roster = try issue(at: due)
        let member = try #require(roster.member("london", at: after(Keyset.lifetime)))
        #expect(member.expires == after(2 * Keyset.lifetime - Keyset.renewal))
        #expect(roster.member("london", at: member.expires) == nil)
        #expect(refusal { try issue(at: member.expires) }?.contains("is the clock right?") == true)
    }

    @Test mutating func `versions, invitations and terms outlive sealing`() throws {
        _ = try invite("web")
        _ = try issue()
        try keyset.takeOver("london", Sample.key("l"), in: topology, at: Sample.start)
        let passphrase = try Sample.passphrase()
        let sealed = try keyset.sealed(passphrase, Sample.cost(), using: &generator)
        let opened = try Keyset(sealed, passphrase)
        #expect(opened.roster == keyset.roster && opened.invited == keyset.invited)
    }

    // MARK: Invitations

    @Test mutating func `an invitation has the way to a manager, and its key is the one of the roster`() throws {
        let invitation = try Invitation(parsing: Array(invite("web").text.utf8))
        #expect(invitation.node == "web" && invitation.network == "acme" && invitation.expires == after(86_400))
        #expect(invitation.gateways == [Invitation.Gateway(node: "london", key: try Sample.key("l"))])
        let part = try TopologyFile.parse(bytes: invitation.topology, source: "invitation")
        #expect(part.nodes.map(\.name) == ["london", "web"])
        let whole = try #require(topology.node(named: "web"))
        let near = try #require(part.node(named: "web"))
        #expect(
            near.number == whole.number && part.tunnels(of: near).map(\.mtu) == [topology.tunnels(of: whole)[0].mtu])
        let member = try #require(try issue().member("web", at: Sample.start))
        #expect(member.isInvited)
    }

    @Test mutating func `an invitation that was changed is noticed`() throws {
        let bytes = Array(try invite("web").text.utf8)
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= 1
            #expect(throws: KeysError.self) { try Invitation(parsing: changed) }
        }
    }

    @Test mutating func `a node's own key takes the place of its invitation's, once`() throws {
        _ = try invite("web")
        let invited = try #require(try issue().member("web", at: Sample.start)?.key)
        #expect(try keyset.admit("web", Sample.key("w"), in: topology, at: Sample.start))
        let member = try #require(try issue().member("web", at: Sample.start))
        #expect(try member.key == Sample.key("w") && !member.isInvited)
        #expect(try !keyset.admit("web", Sample.key("w"), in: topology, at: Sample.start))
        #expect(try issue().members.allSatisfy { $0.key != invited })
        #expect(
            refusal { try keyset.admit("web", Sample.key("x"), in: topology, at: Sample.start) }
                == "“web” takes part already, by another key: it has to be invited anew")
    }

    @Test mutating func `the key of an invitation is nobody's own, and one that ended lets nobody in`() throws {
        _ = try invite("web", hours: 1)
        let invited = try #require(try issue().member("web", at: Sample.start)?.key)
        #expect(
            refusal { try keyset.admit("web", invited, in: topology, at: Sample.start) }
                == "the key of an invitation is nobody's own: “web” has to make one")
        #expect(throws: KeysError.self) { try keyset.admit("web", Sample.key("w"), in: topology, at: after(3600)) }
        #expect(throws: KeysError.self) { try keyset.admit("paris", Sample.key("p"), in: topology, at: Sample.start) }
        #expect(try issue(at: after(3600)).members.map(\.node) == ["london"])
    }

    @Test mutating func `who takes part is invited anew only in place of what he is`() throws {
        _ = try invite("web")
        _ = try keyset.admit("web", Sample.key("w"), in: topology, at: Sample.start)
        #expect(refusal { try invite("web") }?.contains("takes part already") == true)
        _ = try invite("web", replacing: true)
        #expect(try issue().member("web", at: Sample.start)?.isInvited == true)
    }

    @Test mutating func `who was revoked is out, and comes back by another key only`() throws {
        _ = try invite("web")
        _ = try keyset.admit("web", Sample.key("w"), in: topology, at: Sample.start)
        _ = try keyset.revoke(node: "web", at: Sample.start)
        #expect(try issue().members.map(\.node) == ["london"])
        #expect(throws: KeysError.self) { try keyset.admit("web", Sample.key("x"), in: topology, at: Sample.start) }
        #expect(try !keyset.renew(in: topology, at: Sample.start))
        _ = try invite("web")
        #expect(
            refusal { try keyset.admit("web", Sample.key("w"), in: topology, at: Sample.start) }?.contains("revoked")
                == true)
        #expect(try keyset.admit("web", Sample.key("x"), in: topology, at: Sample.start))
    }

    @Test mutating func `a clock that is put back leaves nobody out`() throws {
        _ = try invite("web")
        _ = try keyset.admit("web", Sample.key("w"), in: topology, at: after(100))
        #expect(try issue(at: after(-1000)).members.map(\.node) == ["london", "web"])
        #expect(keyset.time(noEarlierThanIssued: after(-1000)) == after(100))
        #expect(keyset.time(noEarlierThanIssued: after(200)) == after(200))
    }

    @Test mutating func `who takes over brings back those whose credentials ended, and nobody who was revoked`() throws
    {
        for (node, letter) in [("web", Character("w")), ("paris", "p")] {
            _ = try invite(node)
            _ = try keyset.admit(node, Sample.key(letter), in: topology, at: Sample.start)
        }
        _ = try keyset.revoke(node: "web", at: Sample.start)
        _ = try issue()
        let late = after(3 * Keyset.lifetime)
        #expect(throws: KeysError.self) { try issue(at: late) }
        let revision = keyset.revision
        try keyset.takeOver("paris", Sample.key("p"), in: topology, at: late)
        let roster = try keyset.issue(topology, text: text, by: "paris", at: late)
        #expect(roster.members.map(\.node) == ["london", "paris"] && roster.version.term == 2)
        #expect(keyset.revision > revision + 1_000_000)
    }

    @Test mutating func `a node that no manager of the network reaches is not invited`() throws {
        #expect(
            refusal {
                try keyset.invite(
                    "web", in: topology, at: Sample.start, hours: 1, replacing: false, by: [], using: &generator)
            } == "no manager that takes part has a tunnel to “web”: one of them has to come first")
        for hours in [0, Keyset.maximumInvitationHours + 1] {
            #expect(throws: KeysError.self) { try invite("web", hours: hours) }
        }
    }

    @Test mutating func `a node whose address is another one in a newer topology is certified for that`() throws {
        _ = try invite("web")
        _ = try keyset.admit("web", Sample.key("w"), in: topology, at: Sample.start)
        let moved = try Sample.topology(Sample.topologyText.replacing("10.10.255.11", with: "10.10.255.12"))
        #expect(try keyset.issue(moved, text: text, by: "london", at: Sample.start).members.map(\.node) == ["london"])
        #expect(try keyset.renew(in: moved, at: Sample.start))
        #expect(try keyset.issue(moved, text: text, by: "london", at: Sample.start).members.count == 2)
    }
}
