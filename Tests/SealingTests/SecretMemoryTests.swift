import CSyscalls
import Glibc
import Synchronization
import Testing

@testable import Sealing

@Suite struct SecretMemoryTests {
    @Test func slotsAreZeroedAlignedDistinctAndReused() {
        let slots = LockedSlots(slotSizeBytes: 576)
        var held: [UnsafeMutableRawPointer] = []
        for _ in 0..<1000 {
            let slot = slots.allocate()
            #expect(UInt(bitPattern: slot) % 64 == 0)
            #expect(UnsafeRawBufferPointer(start: slot, count: 576).allSatisfy { $0 == 0 })
            memset(slot, 0xff, 576)
            held.append(slot)
        }
        let sorted = held.map { UInt(bitPattern: $0) }.sorted()
        #expect(zip(sorted, sorted.dropFirst()).allSatisfy { $1 - $0 >= 576 })
        for slot in held {
            slots.free(slot)
            // All but the link is wiped at once.
            #expect(UnsafeRawBufferPointer(start: slot + 8, count: 568).allSatisfy { $0 == 0 })
        }
        let again = (0..<1000).map { _ in slots.allocate() }
        #expect(Set(again) == Set(held))
    }

    /// What the kernel says of the memory: `dd` is left out of dumps, `wf` is wiped on fork, `lo` is locked.
    @Test func theKernelKeepsSlotsFromDumpsForksAndSwap() throws {
        let slot = LockedSlots(slotSizeBytes: 64).allocate()
        let flags = try #require(kernelFlags(of: UInt(bitPattern: slot)))
        #expect(flags.contains("dd"))
        #expect(flags.contains("wf"))
        #expect(flags.contains("lo") || !SecretMemory.isFullyLocked)
        let secret = SecretBytes.random(count: 32)
        let address = secret.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) }
        let secretFlags = try #require(kernelFlags(of: address))
        #expect(secretFlags.contains("dd"))
        #expect(secretFlags.contains("lo") || !SecretMemory.isFullyLocked)
    }

    /// The `VmFlags` of the mapping that holds `address`, from /proc/self/smaps.
    private func kernelFlags(of address: UInt) -> [Substring]? {
        guard let file = fopen("/proc/self/smaps", "r") else { return nil }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 4096)
        var inside = false
        while fgets(&line, Int32(line.count), file) != nil {
            let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            let words = text.split(whereSeparator: \.isWhitespace)
            guard let first = words.first else { continue }
            let ends = first.split(separator: "-").map { UInt($0, radix: 16) }
            if ends.count == 2, let low = ends[0], let high = ends[1] { inside = (low..<high).contains(address) }
            if inside, first == "VmFlags:" { return Array(words.dropFirst()) }
        }
        return nil
    }

    @Test func aSecretIsNeverShown() {
        let secret = SecretBytes(count: 4) { $0.copyBytes(from: [0xde, 0xad, 0xbe, 0xef]) }
        var dumped = ""
        dump([secret], to: &dumped)
        for text in [dumped, "\(secret)", String(reflecting: secret), String(describing: [secret])] {
            #expect(text.contains("<4 secret bytes>"))
            #expect(!text.contains("222") && !text.lowercased().contains("dead"))
        }
        #expect(Mirror(reflecting: secret).children.isEmpty)
    }

    @Test func equalityIsOfBytes() {
        func secret(_ bytes: [UInt8]) -> SecretBytes { bytes.withUnsafeBytes { SecretBytes(copying: $0) } }
        #expect(secret([1, 2, 3]).constantTimeEquals(secret([1, 2, 3])))
        #expect(!secret([1, 2, 3]).constantTimeEquals(secret([1, 2, 4])))
        #expect(!secret([1, 2, 3]).constantTimeEquals(secret([1, 2])))
        #expect(secret([]).constantTimeEquals(secret([])))
    }

    @Test func seededRandomnessRepeats() {
        let first = RandomSource.seeded(7)
        let second = RandomSource.seeded(7)
        let other = RandomSource.seeded(8)
        for count in [0, 1, 16, 33, 1000] {
            let bytes = first.bytes(count: count)
            #expect(bytes == second.bytes(count: count))
            #expect(count < 16 || bytes != other.bytes(count: count))
        }
        #expect(first.bytes(count: 16) != first.bytes(count: 16))
        #expect(RandomSource.system.bytes(count: 16) != RandomSource.system.bytes(count: 16))
    }
}

@Suite struct ProcessHardeningTests {
    @Test func unlockedMemoryIsToldOnce() async {
        await #expect(processExitsWith: .success) {
            let told = Atomic<Int>(0)
            SecretMemory.whenNotFullyLocked { told.add(1, ordering: .relaxed) }
            guard SecretMemory.isFullyLocked, told.load(ordering: .relaxed) == 0 else { exit(1) }
            SecretMemory.noteUnlocked()
            SecretMemory.noteUnlocked()
            guard !SecretMemory.isFullyLocked, told.load(ordering: .relaxed) == 1 else { exit(2) }
            // Who asks later is told at once.
            SecretMemory.whenNotFullyLocked { told.add(10, ordering: .relaxed) }
            guard told.load(ordering: .relaxed) == 11 else { exit(3) }
        }
    }

    /// In a process of its own, since some of it cannot be undone.
    @Test func aHardenedProcessLeavesNoDump() async {
        await #expect(processExitsWith: .success) {
            ProcessHardening.apply()
            let getDumpable: Int32 = 3
            var core = rlimit()
            getrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &core)
            guard efs_prctl(getDumpable, 0) == 0, core.rlim_cur == 0, core.rlim_max == 0 else { exit(1) }
        }
    }
}
