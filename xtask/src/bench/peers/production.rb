File.read(ENV.fetch("BENCH_TARGETS")).split.each do |name|
  server name, user: "deploy", roles: %w[app]
end
