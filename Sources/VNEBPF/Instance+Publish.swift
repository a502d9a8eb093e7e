internal import CLibBPF
public import PolicyModel
internal import VNEPrograms

extension Instance {
    /// Publishes a policy: one atomic change for every hook, or none if it throws.
    ///
    /// The image is built whole in a map that nobody knows, then put in the place of the old one. The kernel returns from
    /// that when no program can run under the old one any more. With `revoking`, the new image does not count recorded
    /// flows until then, and after that only those that it let through itself.
    /// - Parameter text: the policy file as it was read; ``publishedPolicy()`` gives it back.
    public func publish(
        _ policy: Policy, text: String, on host: HostView, revoking: Bool
    ) throws(BPFError) {
        try requireExclusive()
        let previous = try publishedImage()
        let carriesFlows = !revoking && previous?.flowsOpen == true
        let publication = PolicyImage.Publication(
            generation: (previous?.generation ?? 0) &+ 1, flowsOpen: carriesFlows,
            flowFloor: previous?.flowFloor ?? 0)
        let ids = try environmentIDs(previous)
        let image: PolicyImage
        do {
            image = try PolicyImage(
                compiling: policy, text: text, host: host, ids: ids, publication: publication)
        } catch {
            throw BPFError.policy(error)
        }

        try placeAskedHooks(by: policy)

        let inner = try Self.imageMap(pages: image.pageCount)
        var memory = try MappedMap(inner, byteCount: image.pageCount * Int(VNE_PAGE_SIZE))
        memory.fill(with: image.words)
        try endEpoch()
        try map(.policy).handle.write(inner.descriptor.rawValue, at: UInt32(0))
        self.image = nil
        if !carriesFlows {
            // Flows count that are stamped from now on. That is there before the word that makes it count.
            memory.store(FlowClock.now &+ 1, at: PolicyImage.HeaderOffset.flowFloor)
            memory.store(1, at: PolicyImage.HeaderOffset.flowsOpen)
        }
        // The policy holds from here on: what fails now costs time or reach, never safety, and waits for the next one.
        try? beginEpoch()
        try? removeStrayEgress()
        try? removeUnaskedHooks(of: try applications())
        // Interfaces that came since.
        if BPFFileSystem.exists(directory.interfaces) { _ = try? steer() }
    }

    /// The published policy file's text and name, and how often one was published; nil before the first time.
    public func publishedPolicy() throws(BPFError) -> PublishedPolicy? {
        guard let image = try publishedImage() else { return nil }
        return PublishedPolicy(text: try image.text(), source: image.source, generation: image.generation)
    }

    /// What the published policy has an environment of this name do, found without reading its text.
    public func environment(named name: String) throws(BPFError) -> PublishedEnvironment? {
        guard let environment = try publishedImage()?.environment(named: name) else { return nil }
        return PublishedEnvironment(
            id: environment.id, needsEgress: environment.needsEgress, families: environment.families,
            requires: environment.requires)
    }

    /// How the published policy has applications known to others, found without reading its text.
    public func publishedIdentity() throws(BPFError) -> PublishedIdentity {
        try publishedImage()?.identity ?? PublishedIdentity()
    }

    /// Which environment the published policy gives the address to, found without reading its text.
    public func owner(of address: IPAddress) throws(BPFError) -> PublishedOwner {
        guard let image = try publishedImage() else { return .noPolicy }
        return switch try image.owner(of: address) {
        case .unassigned: .unassigned
        case .environment(let id, let reserved): .environment(id: id, reserved: reserved)
        case .remote, .host, .loopback, .linkLocal, .multicast, .broadcast: .outside
        }
    }

    /// A reader of the published image, which reads a page where it needs one; nil before the first publication.
    public func publishedImage() throws(BPFError) -> PolicyImageReader? {
        if let image { return image }
        guard let id: UInt32 = try map(.policy).handle.value(of: UInt32(0)) else { return nil }
        let pages = ImagePages(try BPFMap(id: id, name: PinnedMap.policy.rawValue))
        let image = try PolicyImageReader { (number) throws(BPFError) in try pages.page(number) }
        self.image = image
        return image
    }

    /// The ids that environments must keep: by the published image, and by the attachments that refer to one.
    private func environmentIDs(_ image: PolicyImageReader?) throws(BPFError) -> EnvironmentIDs {
        var ids = EnvironmentIDs()
        for environment in try image?.environments() ?? [] { ids.byName[environment.name] = environment.id }
        let attachments = try map(.attachment)
        for application in try applications() {
            ids.byName[application.environment] = application.environmentID
            ids.referenced.insert(application.environmentID)
            // Between the two steps of an update that was killed, the hooks judge by another one than the record's.
            let attachment: vne_attachment? = try attachments.handle.value(of: application.cgroupID)
            if let attachment, attachment.state == UInt32(VNE_ATTACHMENT_OPEN) {
                ids.referenced.insert(attachment.environment)
            }
        }
        return ids
    }

    /// Makes a map that fits as the inner map of `policy`. The C function is `bpf_map_create`.
    private static func imageMap(pages: Int) throws(BPFError) -> BPFMap {
        LibBPFLog.silence()
        var options = bpf_map_create_opts()
        options.sz = MemoryLayout<bpf_map_create_opts>.size
        options.map_flags = UInt32(BPF_F_MMAPABLE) | UInt32(BPF_F_INNER_MAP)
        let result = unsafe bpf_map_create(
            BPF_MAP_TYPE_ARRAY, "vne_image", UInt32(MemoryLayout<UInt32>.size), UInt32(VNE_PAGE_SIZE), UInt32(pages),
            &options)
        guard result >= 0 else { throw .failed(.createMap(name: "vne_image"), code: -result) }
        return BPFMap(owning: result, name: "vne_image")
    }
}

/// The pages of an image in the kernel, each read once.
private final class ImagePages {
    private let map: BPFMap
    private var read: [UInt32: [UInt32]] = [:]

    init(_ map: consuming BPFMap) {
        self.map = map
    }

    func page(_ number: UInt32) throws(BPFError) -> [UInt32]? {
        if let words = read[number] { return words }
        guard let words: [UInt32] = try map.values(of: number, count: Int(VNE_PAGE_WORDS)) else { return nil }
        read[number] = words
        return words
    }
}
