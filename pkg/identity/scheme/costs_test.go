package scheme

import "testing"

func TestNeedsRehash(t *testing.T) {
	const (
		bcrypt10 = "$2y$10$qnAGVJkycoflAq4xWzMtZ..qnSD7DaIpEh6DyKK3bakrhzMCh/bDK"
		bcrypt2x = "$2x$14$qnAGVJkycoflAq4xWzMtZ..qnSD7DaIpEh6DyKK3bakrhzMCh/bDK"
		sha5000  = "$6$pAmeeo2e2t76O02e$MEjF7Vb5RvZZcX7eWmb5bSoeySYJW99DNwihcKrY5dCyJBPfn93JzPW5sRq9GKvilNlFqv052PmbaRt/bXznI0"
		argon    = "$argon2id$v=19$m=19456,t=2,p=1$T7XxrHPpXOqHN8SibzNSYg$Ot/sVPBs33omnBQz6K9oO3SHh5aN/KFBI9t/Df3sS8U"
		argonI   = "$argon2i$v=19$m=65536,t=5,p=1$T7XxrHPpXOqHN8SibzNSYg$Ot/sVPBs33omnBQz6K9oO3SHh5aN/KFBI9t/Df3sS8U"
		scram    = "{SCRAM-SHA-256}4096,ly2sUj/hKvYjU7UIVKy0wQ==,T3dIwxHarXn3x29td7GfokGFsTYGjRjE6gzqaVJmhTA=,y1kJUI4EJUL/9IYAStwaXBKhNjmmXO2J5CEZWu01a/M="
	)
	for _, tc := range []struct {
		name, stored, target string
		costs                Costs
		want                 bool
	}{
		{"same", "{ARGON2ID}" + argon, "ARGON2ID", Costs{}, false},
		{"same without a name", argon, "argon2id", Costs{}, false},
		{"same under a wrong name", "{ARGON2I}" + argon, "ARGON2ID", Costs{}, false},
		{"other variant", "{ARGON2I}" + argonI, "ARGON2ID", Costs{}, true},
		{"more memory wanted", argon, "ARGON2ID", Costs{MemoryKiB: 20 << 10}, true},
		{"more passes wanted", argon, "ARGON2ID", Costs{Rounds: 3}, true},
		{"less wanted", argon, "ARGON2ID", Costs{MemoryKiB: 8 << 10}, false},
		{"other balance", argon, "ARGON2ID", Costs{MemoryKiB: 38912, Rounds: 1}, false},
		{"cheap bcrypt", "{BLF-CRYPT}" + bcrypt10, "BLF-CRYPT", Costs{}, true},
		{"bcrypt as wanted", "{CRYPT}" + bcrypt10, "BLF-CRYPT", Costs{Cost: 10}, false},
		{"bcrypt for CRYPT", bcrypt10, "CRYPT", Costs{Cost: 10}, false},
		{"bcrypt of the old bug", bcrypt2x, "BLF-CRYPT", Costs{Cost: 10}, true},
		{"default rounds", sha5000, "SHA512-CRYPT", Costs{Rounds: 5000}, false},
		{"few rounds", sha5000, "SHA512-CRYPT", Costs{}, true},
		{"other digest", sha5000, "SHA256-CRYPT", Costs{Rounds: 5000}, true},
		{"alias", "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "SHA1", Costs{}, false},
		{"weak", "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "SSHA512", Costs{}, true},
		{"readable", "{CLEARTEXT}secret", "SCRAM-SHA-256", Costs{}, true},
		{"few iterations", scram, "SCRAM-SHA-256", Costs{}, true},
		{"iterations as wanted", scram, "SCRAM-SHA-256", Costs{Rounds: 4096}, false},
		{"encoding does not matter", "{PLAIN.b64}c2VjcmV0", "PLAIN.hex", Costs{}, false},
		{"the user does not matter", "{DIGEST-MD5}a9832fed4a7567b40e43443f9f30c272", "DIGEST-MD5", Costs{}, false},
		{"nonsense stays", "{BLF-CRYPT}nonsense", "ARGON2ID", Costs{}, false},
		{"no such target", argon, "NOSUCH", Costs{}, false},
		{"no such cost", bcrypt10, "BLF-CRYPT", Costs{Rounds: 1}, false},
	} {
		if got := NeedsRehash(tc.stored, tc.target, tc.costs); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

// What Generate makes needs no rehash with the same wishes.
func TestFreshNeedsNoRehash(t *testing.T) {
	var w Workspace
	for _, name := range Names() {
		r, _ := find(name)
		stored, err := GenerateWith(&w, name, "secret", Options{User: "a@b", Costs: cheapest(r)})
		if err != nil || NeedsRehash(stored, name, cheapest(r)) {
			t.Errorf("%s: %v", stored, err)
		}
	}
}
