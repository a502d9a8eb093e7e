import PolicyModel
import TestSupport
import VNEBPF

/// Bytes as a policy file. What is accepted is compiled, and the image says what the policy says.
struct PolicyInput {
    let bytes: [UInt8]

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    func check() throws {
        let policy: Policy
        do {
            policy = try PolicyFile.parse(bytes: bytes, source: "fuzz.yaml")
        } catch {
            return try check(error)
        }
        try check(policy)
    }

    // MARK: - Refused

    private func check(_ errors: DocumentErrors) throws {
        // Every byte that can end a line of YAML, alone or as the last of its character.
        let lines = bytes.count { $0 == 10 || $0 == 13 || $0 == 0x85 || $0 == 0xa8 || $0 == 0xa9 } + 1
        try require(!errors.errors.isEmpty, "a file was refused without an error")
        for error in errors.errors {
            try require((1...lines + 1).contains(error.line) && error.column >= 1, "\(error) lies outside of the file")
            try require(!error.description.contains { $0.isNewline }, "an error of more than one line: \(error)")
        }
    }

    // MARK: - Accepted

    private func check(_ policy: Policy) throws {
        try require(!policy.addressSpace.isEmpty, "a policy without an address space")
        for environment in policy.environments {
            try require(!environment.addresses.isEmpty, "\(environment.name) has no addresses")
            try require(!environment.protocols.isEmpty, "\(environment.name) has no protocols")
            for prefix in environment.addresses {
                try require(
                    policy.addressSpace.contains { $0.contains(prefix) }, "\(prefix) is not in the address space")
            }
        }
        let plan = Plan.make(current: policy, desired: policy, attached: [], cgroupsPresent: { _ in true })
        try require(!plan.revokes, "a policy revokes something of itself")

        var random = RandomPolicies(seed: seed)
        let host = random.host()
        let text = String(decoding: bytes, as: UTF8.self)
        let image: PolicyImage
        do {
            image = try PolicyImage(compiling: policy, text: text, host: host)
        } catch {
            try require(!error.description.contains { $0.isNewline }, "an error of more than one line: \(error)")
            return
        }
        let reader = try PolicyImageReader(image)
        try require(try reader.text(), equals: text, "the text of the image")
        try require(try reader.environments().count, equals: policy.environments.count, "environments of the image")
        let landmarks = Landmarks(of: policy, on: host)
        try checkAddresses(of: policy, in: reader, on: host, landmarks)
        try checkVerdicts(of: policy, in: reader, on: host, landmarks, &random)
        _ = try reader.comparisons()
        for permit in try reader.permits() { _ = try reader.list(permit.list) }
    }

    private func checkAddresses(
        of policy: Policy, in image: PolicyImageReader, on host: HostView, _ landmarks: Landmarks
    ) throws {
        let index = PolicyIndex(policy)
        let reserved = Set(policy.applications.flatMap { $0.addresses?.all ?? [] })
        let ranges = try image.ownedRanges()
        for address in Set(landmarks.addresses.joined()) {
            let expected: PolicyImageReader.AddressOwner
            switch index.classify(address, on: host) {
            case .environment(let name):
                guard let id = try image.environment(named: name)?.id else {
                    throw FuzzFailure(description: "the image has no environment \(name)")
                }
                expected = .environment(id, reserved: reserved.contains(address))
            case .unassigned: expected = .unassigned
            case .loopback: expected = .loopback
            case .multicast: expected = .multicast
            case .broadcast: expected = .broadcast
            case .host: expected = .host
            case .linkLocal: expected = .linkLocal
            case .remote: expected = .remote
            }
            try require(try image.owner(of: address), equals: expected, "the owner of \(address)")
            let range = ranges.first {
                $0.addresses.contains(address) && $0.addresses.lowerBound.family == address.family
            }
            try require(range?.owner ?? .remote, equals: expected, "the run of \(address)")
        }
    }

    private func checkVerdicts(
        of policy: Policy, in image: PolicyImageReader, on host: HostView, _ landmarks: Landmarks,
        _ random: inout RandomPolicies
    ) throws {
        let index = PolicyIndex(policy)
        for environment in policy.environments.prefix(4) {
            let subject = subject(in: environment, of: policy)
            guard let judge = try ImageJudge(image, subject: subject) else {
                throw FuzzFailure(description: "the image has no environment \(environment.name)")
            }
            for _ in 0..<16 {
                let attempt = random.attempt(by: subject, near: landmarks)
                let reason = try judge.reason(attempt)
                let verdict = index.verdict(attempt, by: subject, on: host)
                try require(reason, equals: verdict.reason, "\(attempt) by \(subject)")
                let allowed = reason.allows || judge.environment.mode == .audit && reason.isReachability
                try require(allowed, equals: verdict.allowed, "\(attempt) by \(subject)")
            }
        }
    }

    /// The environment's first application that has an address, or one with its first address of each family.
    private func subject(in environment: Environment, of policy: Policy) -> Subject {
        let named = policy.applications.lazy.filter { $0.environment == environment.name }.compactMap(\.addresses).first
        let first = [AddressFamily.ipv4, .ipv6].compactMap { family in
            environment.addresses.first { $0.family == family }?.network
        }
        let addresses = named ?? ApplicationAddresses(first) ?? ApplicationAddresses(IPAddress(ipv4: 0))
        return Subject(environment: environment.name, addresses: addresses, loopback: RandomPolicies.loopbacks[0])
    }

    /// FNV-1a, so that the same file is asked the same questions.
    private var seed: UInt64 {
        bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
}
