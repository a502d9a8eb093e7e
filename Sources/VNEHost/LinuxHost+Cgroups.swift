public import PolicyModel

internal import Glibc

/// Cgroups: see cgroups(7) and the kernel's cgroup-v2 document.
extension LinuxHost {
    /// Where the cgroup2 hierarchy is mounted.
    public func cgroupMount() throws(HostError) -> String {
        try cgroups().mountPath
    }

    /// Opens a cgroup below the cgroup2 mount. Refuses the root cgroup, a path that leads out, and one that is no cgroup.
    /// - Parameter path: relative to the mount, or absolute below it.
    public func openCgroup(_ path: String) throws(HostError) -> OpenCgroup {
        try cgroups().open(path)
    }

    /// Opens the root cgroup, for the guard of the whole host. It can be no application.
    public func openRootCgroup() throws(HostError) -> OpenCgroup {
        try cgroups().openRoot()
    }

    /// Closes what ``openCgroup(_:)`` or ``makeCgroup(_:)`` opened.
    public func close(_ cgroup: OpenCgroup) {
        _ = Glibc.close(cgroup.descriptor)
    }

    /// Makes a cgroup and those above it below the cgroup2 mount, and opens it. One that is there is opened.
    public func makeCgroup(_ path: String) throws(HostError) -> OpenCgroup {
        try cgroups().make(path)
    }

    /// Removes a cgroup if it is empty and has no children; says whether it is gone.
    public func removeCgroup(_ path: String) -> Bool {
        (try? cgroups().remove(path)) ?? false
    }

    /// Whether the cgroup at this path still is the one with this id. What cannot be looked at counts as there, so that
    /// no failure of this process has an application detached.
    public func cgroupExists(_ path: String, id: UInt64) -> Bool {
        (try? cgroups().exists(path, id: id)) ?? true
    }

    /// Whether there is a cgroup at this path; nil for what cannot be looked at, or is something else: whoever opens it
    /// hears why.
    public func cgroupExists(_ path: String) -> Bool? {
        try? cgroups().exists(path)
    }

    /// Whether a process lives in the cgroup or below it (`cgroup.events`, `populated`). What cannot be looked at counts
    /// as populated.
    public func isPopulated(_ path: String) -> Bool {
        (try? cgroups().isPopulated(path)) ?? true
    }

    /// The same of a cgroup that is open.
    public func isPopulated(_ cgroup: OpenCgroup) -> Bool {
        (try? cgroups().isPopulated(cgroup)) ?? true
    }

    /// Ids of a cgroup and of every cgroup below it.
    public func cgroupIDs(below path: String) throws(HostError) -> Set<UInt64> {
        try cgroups().identifiers(below: path)
    }

    /// Ids of every cgroup below the cgroup2 mount, and of the root.
    public func allCgroupIDs() throws(HostError) -> Set<UInt64> {
        try cgroups().allIdentifiers()
    }

    /// The processes in a cgroup and below it, in the order of their ids.
    public func processes(below path: String) throws(HostError) -> [UInt32] {
        try cgroups().processes(below: path)
    }
}
