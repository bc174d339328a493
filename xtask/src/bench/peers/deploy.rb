# Brings a version onto all hosts, in the order of Capistrano's own flow.
set :application, "app"
set :repo_url, ENV.fetch("BENCH_ORIGIN")
set :branch, ENV.fetch("BENCH_VERSION")
set :deploy_to, "/srv/deployment/floor"
set :ssh_options, config: [ENV.fetch("BENCH_SSH_CONFIG")], verify_host_key: :always,
                  user_known_hosts_file: [ENV.fetch("BENCH_KNOWN_HOSTS")], use_agent: false

namespace :deploy do
  task :restart do
    on roles(:app) do
      within(deploy_to) { execute :sh, "-c", "'cat current/VERSION > served'" }
    end
  end
  task :check_service do
    on roles(:app) do
      within(deploy_to) { execute :cmp, "-s", "current/VERSION", "served" }
    end
  end
  after :publishing, :restart
  after :restart, :check_service
end
