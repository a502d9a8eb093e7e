// swift-tools-version: 6.2
import PackageDescription

/// What every Swift target of this package is compiled with.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
    name: "vne",
    products: [
        .executable(name: "vne-agent", targets: ["vne-agent"]),
        .executable(name: "vne-manager", targets: ["vne-manager"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        // What the manager runs are programs; without Foundation.
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2", traits: []),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    ],
    targets: [
        // The kernel half, compiled by `make bpf`, carried as bytes, with the header that both halves share.
        .target(name: "VNEPrograms", path: "bpf", sources: ["programs.c"], publicHeadersPath: "include"),
        // System libraries and the headers that Glibc's module lacks.
        .systemLibrary(
            name: "CLibBPF", path: "Sources/CLibBPF", pkgConfig: "libbpf", providers: [.apt(["libbpf-dev"])]),
        .systemLibrary(
            name: "CLibYAML", path: "Sources/CLibYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        .target(name: "CLinux", path: "Sources/CLinux"),

        .target(name: "PolicyModel", dependencies: ["CLibYAML"], swiftSettings: strict),
        .target(
            name: "VNEBPF", dependencies: ["PolicyModel", "VNEPrograms", "CLibBPF"], swiftSettings: strict),
        .target(name: "VNEHost", dependencies: ["PolicyModel", "CLinux"], swiftSettings: strict),
        .target(name: "VNEAgent", dependencies: ["PolicyModel"], swiftSettings: strict),
        .executableTarget(
            name: "vne-agent",
            dependencies: [
                "VNEAgent", "VNEBPF", "VNEHost", "PolicyModel",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),

        // The overlay.
        .target(name: "OverlayModel", dependencies: ["PolicyModel"], swiftSettings: strict),
        .target(
            name: "VNEManager",
            dependencies: [
                "OverlayKeys", "OverlayModel", "PolicyModel", "VNEHost",
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict),
        .target(
            name: "OverlayKeys",
            dependencies: [
                "OverlayModel", "PolicyModel", .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "vne-manager",
            dependencies: [
                "VNEManager", "OverlayKeys", "OverlayModel", "PolicyModel",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),

        // What several test targets share: random policies and attempts, and where cgroups are.
        .target(
            name: "TestSupport", dependencies: ["PolicyModel", "VNEBPF"], path: "Tests/TestSupport",
            swiftSettings: strict),
        .testTarget(
            name: "PolicyModelTests", dependencies: ["PolicyModel", "TestSupport"], exclude: ["Golden"],
            swiftSettings: strict),
        .testTarget(
            name: "VNEBPFTests", dependencies: ["VNEBPF", "PolicyModel", "VNEPrograms", "TestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "KernelTests",
            dependencies: [
                "VNEAgent", "VNEBPF", "VNEHost", "PolicyModel", "VNEPrograms", "CLibBPF", "CLinux", "TestSupport",
            ],
            exclude: ["prober.py"], swiftSettings: strict),
        .testTarget(
            name: "OverlayModelTests", dependencies: ["OverlayModel", "PolicyModel"], exclude: ["Golden"],
            swiftSettings: strict),
        .testTarget(
            name: "OverlayKeysTests", dependencies: ["OverlayKeys", "OverlayModel", "PolicyModel"],
            exclude: ["Golden"], swiftSettings: strict),
        .testTarget(name: "VNEHostTests", dependencies: ["VNEHost", "PolicyModel"], swiftSettings: strict),
        .testTarget(name: "VNEAgentTests", dependencies: ["VNEAgent", "PolicyModel"], swiftSettings: strict),
        .testTarget(
            name: "VNEManagerTests", dependencies: ["VNEManager", "OverlayModel", "PolicyModel"], swiftSettings: strict),
    ]
)

// The fuzz tests are tests on the corpus that is kept. Where `make fuzz` builds the package, and says where libFuzzer's
// library is, they are an executable instead, and everything in Swift counts for it what was reached.
let fuzzed: [Target.Dependency] = [
    "PolicyModel", "OverlayModel", "OverlayKeys", "VNEAgent", "VNEBPF", "VNEHost", "VNEPrograms", "CLinux",
    "TestSupport",
]
if let libFuzzer = Context.environment["VNE_LIBFUZZER"] {
    for target in package.targets where target.swiftSettings != nil {
        target.swiftSettings?.append(.unsafeFlags(["-sanitize=fuzzer"]))
    }
    package.targets += [
        .systemLibrary(name: "CLibFuzzer", path: "Tests/CLibFuzzer"),
        .executableTarget(
            name: "vne-fuzz", dependencies: fuzzed + ["CLibFuzzer"], path: "Tests/FuzzTests",
            exclude: ["CorpusTests.swift"], swiftSettings: strict + [.unsafeFlags(["-sanitize=fuzzer"])],
            linkerSettings: [.unsafeFlags([libFuzzer]), .linkedLibrary("stdc++")]),
    ]
} else {
    package.targets.append(
        .testTarget(
            name: "FuzzTests", dependencies: fuzzed, exclude: ["main.swift"], swiftSettings: strict))
}
