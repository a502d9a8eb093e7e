public import PolicyModel

internal import Glibc

/// The files in which an instance is known, or remembered beyond a reboot.
extension LinuxHost {
    /// Has the hosts file name these hosts as this instance's, and no others; nothing where the instance has no hosts file.
    /// - Returns: those of the names that other lines of it give to somebody, too.
    public func name(_ hosts: [NamedHost]) throws(HostError) -> Set<String> {
        guard let hostsFile else { return [] }
        do throws(HostError) {
            return try HostsFile(path: hostsFile, instance: instance).write(hosts)
        } catch {
            // Where there is no file, nobody is named.
            guard error.kind == .missing, hosts.isEmpty else { throw error }
            return []
        }
    }

    /// The text that ``keepLeases(_:)`` kept; nil if there is none.
    public func keptLeases() throws(HostError) -> String? {
        do throws(HostError) {
            return try textFile(leases)
        } catch {
            guard error.kind == .missing else { throw error }
            return nil
        }
    }

    /// Keeps a text over reboots; nil removes it.
    public func keepLeases(_ text: String?) throws(HostError) {
        guard let text else {
            guard unsafe unlink(leases) == 0 || errno == ENOENT else { throw .system("remove", leases) }
            return
        }
        guard unsafe mkdir(Self.stateDirectory, 0o755) == 0 || errno == EEXIST else {
            throw .system("make the directory", Self.stateDirectory)
        }
        let new = leases + ".new"
        let file = try Descriptor.create(new)
        let bytes = Array(text.utf8)
        let number = file.number
        guard ftruncate(number, 0) == 0,
            restarting({ unsafe bytes.withUnsafeBytes { unsafe write(number, $0.baseAddress, $0.count) } })
                == bytes.count
        else { throw .system("write to", new) }
        guard unsafe rename(new, leases) == 0 else { throw .system("write to", leases) }
    }

    private static let stateDirectory = "/var/lib/vne"
    private var leases: String { "\(Self.stateDirectory)/\(instance).leases" }
}
