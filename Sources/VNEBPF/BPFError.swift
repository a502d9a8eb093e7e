internal import Glibc
public import PolicyModel

/// Why something on the BPF side failed. Conditions that callers branch on are cases of their own.
public enum BPFError: Error, Hashable, Sendable {
    /// A system call failed: what was tried, and its errno. The verifier's log, or what else libbpf said, is kept for
    /// whoever asks.
    case failed(Operation, code: Int32, log: String? = nil)
    /// The call changes something, and the instance was opened for reading.
    case readOnly
    /// Not a name that the pin directory, or the record, can hold.
    case invalidName(String)
    /// The directory is there and is no instance.
    case notAnInstance(path: String)
    /// The directory belongs to somebody else than root.
    case foreignDirectory(path: String)
    /// The instance was loaded by a build with another layout of the maps.
    case incompatible(instance: String, found: UInt32)
    /// The instance serves another network namespace.
    case foreignNamespace(instance: String)
    /// Its maps are there and say that loading never ended.
    case incomplete(instance: String)
    /// The root cgroup holds everything on the host.
    case rootCgroup
    /// The descriptor is not that of the cgroup that was named.
    case cgroupMismatch(path: String)
    /// Another cgroup has the application address.
    case addressHeld(IPAddress, cgroupID: UInt64)
    /// Another cgroup's application has the name.
    case nameTaken(String, cgroupID: UInt64)
    /// The cgroup is an application already, or is about to stop being one.
    case alreadyAttached(String, cgroupID: UInt64)
    /// No application of this cgroup is recorded, or not in the state that the call needs.
    case notAttached(String)
    /// Hooks of the application are missing, so it was not opened.
    case hooksMissing(String, hooks: [String])
    /// Somebody else reads the denials.
    case denialsBusy(instance: String, process: String?)
    /// The policy does not fit the kernel's tables.
    case policy(PolicyImageError)
    /// What is published is no policy image of this version.
    case damagedImage(String)

    /// What was tried, and on what.
    public enum Operation: Hashable, Sendable {
        case mount(path: String)
        case open(path: String)
        case lock(path: String)
        case makeDirectory(path: String)
        case rename(path: String)
        case remove(path: String)
        case openObject(name: String)
        case loadObject(name: String)
        case findProgram(name: String)
        case createMap(name: String)
        case readMap(name: String)
        case writeMap(name: String)
        case mapMemory(name: String)
        case openPin(path: String)
        case pin(path: String)
        case probeHook(hook: String)
        case findHierarchy
        case openCgroup(id: UInt64)
        case attachProgram(hook: String)
        case detachProgram(type: UInt32)
        case queryPrograms(type: UInt32)
        case inspect(path: String)
        case steer(interface: UInt32)
        case readDenials

        /// A verb and its object: `load the BPF object vne`.
        public var phrase: String {
            switch self {
            case .mount(let path): "mount a BPF file system on \(path)"
            case .open(let path): "open \(path)"
            case .lock(let path): "lock \(path)"
            case .makeDirectory(let path): "make the directory \(path)"
            case .rename(let path): "rename \(path)"
            case .remove(let path): "remove \(path)"
            case .openObject(let name): "read the BPF object \(name)"
            case .loadObject(let name): "load the BPF object \(name)"
            case .findProgram(let name): "find the program \(name) in the BPF object"
            case .createMap(let name): "create the map \(name)"
            case .readMap(let name): "read the map \(name)"
            case .writeMap(let name): "write the map \(name)"
            case .mapMemory(let name): "map the memory of \(name)"
            case .openPin(let path): "open the pin \(path)"
            case .pin(let path): "pin \(path)"
            case .probeHook(let hook): "find out whether the kernel has the hook \(hook)"
            case .findHierarchy: "find a cgroup2 mount in /proc/self/mounts"
            case .openCgroup(let id): "open the cgroup with id \(id)"
            case .attachProgram(let hook): "attach the hook \(hook)"
            case .detachProgram(let type): "detach a program of attach type \(type)"
            case .queryPrograms(let type): "list the programs of attach type \(type)"
            case .inspect(let path): "inspect \(path)"
            case .steer(let interface): "steer packets on the interface with index \(interface)"
            case .readDenials: "read the denials"
            }
        }
    }

    /// The errno behind it, if a system call failed.
    public var code: Int32? {
        guard case .failed(_, let code, _) = self else { return nil }
        return code
    }

    /// The verifier's log and libbpf's messages; many lines.
    public var log: String? {
        guard case .failed(_, _, let log) = self else { return nil }
        return log
    }
}

extension BPFError: CustomStringConvertible {
    /// One line.
    public var description: String {
        switch self {
        case .failed(let operation, let code, _): "cannot \(operation.phrase): \(Self.message(of: code))"
        case .readOnly: "the instance was opened for reading only"
        case .invalidName(let name): "“\(name)” does not fit as a name"
        case .notAnInstance(let path): "\(path) exists and is no instance of vne-agent"
        case .foreignDirectory(let path): "\(path) is not root's alone: somebody else made it"
        case .incompatible(let instance, let found):
            "the instance \(instance) was loaded by another version (layout \(found))"
        case .foreignNamespace(let instance): "the instance \(instance) serves another network namespace"
        case .incomplete(let instance): "the instance \(instance) was never loaded completely"
        case .rootCgroup: "the root cgroup cannot be an application"
        case .cgroupMismatch(let path): "the cgroup \(path) was replaced by another one of the same name"
        case .addressHeld(let address, let cgroupID): "\(address) is held by the application of cgroup \(cgroupID)"
        case .nameTaken(let name, let cgroupID): "the name \(name) is taken by the application of cgroup \(cgroupID)"
        case .alreadyAttached(let name, let cgroupID): "cgroup \(cgroupID) is the application \(name) already"
        case .notAttached(let name): "the application \(name) is not attached"
        case .hooksMissing(let name, let hooks):
            "the application \(name) stays closed: not attached are \(hooks.joined(separator: ", "))"
        case .denialsBusy(let instance, let process):
            "another command reads the denials of the instance \(instance)" + (process.map { ": process \($0)" } ?? "")
        case .policy(let error): error.description
        case .damagedImage(let what): "the published policy cannot be read: \(what)"
        }
    }

    /// What to do about it, where that is known.
    public var hint: String? {
        switch self {
        case .failed(.attachProgram, EPERM, _):
            "the cgroup or one above it has a program at this hook that allows no other; bpftool cgroup tree shows it"
        case .failed(_, EPERM, _): "root is needed, in the host's user namespace, and a kernel that is not locked down"
        case .failed(.attachProgram(let hook), E2BIG, _) where hook.hasPrefix("lsm_"):
            "the kernel has room for ten hooks of BPF LSM on cgroups, and others use them; bpftool cgroup tree shows who"
        case .failed(.attachProgram, E2BIG, _): "the cgroup has 64 programs at this hook already: detach some"
        case .failed(.attachProgram, ENOENT, _): "the cgroup was removed meanwhile"
        case .failed(.loadObject, EINVAL, _), .failed(.loadObject, EACCES, _):
            "the kernel may be too old; its verifier's log says what it misses"
        case .failed(_, ENOMEM, _): "the kernel has no memory for it: free some, or make the policy smaller"
        case .incompatible: "unload the instance and apply its policy again"
        case .foreignNamespace: "give each network namespace an instance of its own with --instance"
        case .incomplete, .damagedImage: "unload the instance and apply its policy again"
        case .foreignDirectory(let path): "look whose it is and remove it: rm -r \(path)"
        case .notAnInstance: "choose another name with --instance"
        case .invalidName: "letters, digits, ‘-’ and ‘_’, at most 63 bytes; an application’s also ‘.’"
        case .addressHeld, .nameTaken, .alreadyAttached: "detach that application first"
        default: nil
        }
    }

    /// `Operation not permitted (errno 1)`. The C function is `strerror`.
    static func message(of code: Int32) -> String {
        unsafe "\(String(cString: strerror(code))) (errno \(code))"
    }
}
